"""What a process is made of: settings, logs, the composition of servers, the watchdog. Rule: no other room reads the environment.

ValueError
└── BadSetting   flash/process/settings.py: a setting holds a value that it must not hold
"""

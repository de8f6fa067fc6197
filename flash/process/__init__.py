"""What a process is made of: settings, logs, the composition of servers, the watchdog. Rule: no other room reads the environment."""

"""The command line, the settings, the logging, and the composition of a process.

Rule: only here is one implementation chosen over another.
"""

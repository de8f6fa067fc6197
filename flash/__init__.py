"""The command line, the settings, the logging, and the one place where the parts are put together."""

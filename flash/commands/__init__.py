"""One module or folder for each command. Rule: a command reads settings, calls the servers' rooms, and prints."""

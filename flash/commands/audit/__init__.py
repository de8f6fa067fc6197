"""`flash audit`: what happened, and whether the logs are whole. Rule: no command reads a server's memory."""

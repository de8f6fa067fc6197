"""`python -m clients.terminal`. Rule: it only starts the application."""

import sys

from clients.command_line.running import run
from clients.terminal.app import app

if __name__ == "__main__":
    sys.exit(run(app))

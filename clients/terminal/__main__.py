"""`python -m clients.terminal`. Rule: nothing but the start."""

import sys

from clients.terminal.app import app
from clients.terminal.running import run

if __name__ == "__main__":
    sys.exit(run(app))

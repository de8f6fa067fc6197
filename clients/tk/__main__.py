"""`python -m clients.tk`. Rule: it only starts the application."""

from clients.tk.app import app

if __name__ == "__main__":
    app(prog_name="flash tk")

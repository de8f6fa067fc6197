"""`python -m clients.tk`. Rule: nothing but the start."""

from clients.tk.app import app

if __name__ == "__main__":
    app(prog_name="flash tk")

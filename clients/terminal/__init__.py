"""The terminal client: what `flash user`, `login`, `send`, `listen`, `contacts` and `status` do. Rule: every word received is escaped.

`clients.terminal.app.app` is a typer application to mount in a larger command line; `python -m clients.terminal` is the same by itself.
"""

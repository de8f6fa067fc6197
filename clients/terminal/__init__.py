"""The terminal client: what `flash user`, `login`, `send`, `listen`, `contacts`, `status`, `watch` do. Rule: what is received is escaped.

`clients.terminal.app.app` is a typer application to mount in a larger command line; `python -m clients.terminal` is the same by itself.
"""

"""The terminal client: `flash user`, `login`, `send`, `listen`, `contacts`, `status` and `watch`. Rule: received text is escaped.

`clients.terminal.app.app` is a typer application that `flash` mounts; `python -m clients.terminal` runs it by itself.
"""

"""The broker of an installation in one process, on SQLite.

Rule: what it has confirmed is in its file, and it promises what RabbitMQ promises.
"""

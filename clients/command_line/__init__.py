"""How every command of Flash runs and prints. Rule: one way to print and one way to fail, for `flash` and for the terminal client.

These two modules have a folder of their own because `flash` uses them for the commands of operators, and must not lean on a client for
that; the clients may not import `flash`.
"""

"""The audit: it reads the history stream into the audit's read model. Rule: it only reads what servers publish.

It is a room because it belongs to neither server: commands and the console use it, too.
"""

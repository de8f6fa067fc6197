"""`flash store`: copy, back up and restore. Rule: a source is only read, and a target is whole or untouched.

Backup and restore stand apart from copying because they also work with the history.
"""

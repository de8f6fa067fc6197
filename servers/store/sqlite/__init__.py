"""The event log in a SQLite file. Rule: no other folder knows these tables."""

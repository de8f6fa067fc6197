"""The event log in a PostgreSQL schema. Rule: no other folder knows these tables and this function."""

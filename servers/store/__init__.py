"""The event log of one server. Rule: only this room knows the tables of the log."""

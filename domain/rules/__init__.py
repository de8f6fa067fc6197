"""One table for each kind of server: its aggregates, its policies and the recipients of its events. Rule: only here do aggregates meet."""

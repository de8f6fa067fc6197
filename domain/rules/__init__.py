"""One set of tables for each kind of server. Rule: only here do aggregates meet, and nothing is decided that an aggregate could decide."""

"""The direct line: a home calls a client. Rule: a home connects to the very peer that made the offer, or to nobody."""

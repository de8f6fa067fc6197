"""The messages that wait for one user. Rule: no other aggregate is imported here."""

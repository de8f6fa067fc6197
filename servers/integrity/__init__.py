"""Sealing and verifying a log. Rule: a seal says what the log was, and only the log can prove it."""

"""`flash doctor`: is everything around a server as the server needs it? Rule: one line a check, and each says what to do."""

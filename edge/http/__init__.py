"""One HTTP/1.1 connection, its routing, its problems and its limits. Rule: nothing here knows what a call means."""

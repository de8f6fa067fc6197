"""The calls of the Global Server and of a home. Rule: one line a route, and one small function that translates a call."""

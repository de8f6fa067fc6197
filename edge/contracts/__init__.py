"""The JSON shapes of requests and answers, and what the edge needs of the servers. Rule: each shape stands here once, as a type."""

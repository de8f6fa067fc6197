"""The JSON shapes of requests and answers, and what the edge needs of the servers. Rule: each shape is one type."""

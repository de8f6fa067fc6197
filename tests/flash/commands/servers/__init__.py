"""`flash enroll`, `flash servers`, as ops type them. Rule: the servers are real ones."""

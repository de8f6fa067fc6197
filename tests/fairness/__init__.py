"""What one user, or nobody, may cost everybody else: the rows of docs/limits.md, each against a running program."""

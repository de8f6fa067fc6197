"""The hash chain over a log, and the seals that fix it. Rule: everybody who has the log can compute the same chain again."""

"""The HTTP side of Flash's servers. Rule: nothing here decides what is allowed; it translates, bounds and frames."""

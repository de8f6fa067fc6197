"""The read models that a server folds from its own log. Rule: the same log always gives the same model."""

"""The Home Server, put together from the rooms below. Rule: nothing is decided here; the deciders of `domain` decide."""

"""The broker: its contract, and what only one implementation can get wrong."""

"""The keys of each person, and what is encrypted with them. Rule: without a person's key nothing personal can be read."""

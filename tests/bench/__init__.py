"""Short pieces of the long runs in `bench`. Rule: they say that a run works and what it counts, never how fast anything is."""

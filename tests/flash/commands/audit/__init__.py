"""`flash audit` as ops type it."""

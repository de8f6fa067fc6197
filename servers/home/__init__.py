"""The Home Server, put together from the rooms below. Rule: it decides nothing itself; deciders do."""

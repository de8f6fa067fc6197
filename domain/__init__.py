"""The rules of Flash: events, deciders and folds, and the error tree. Rule: pure; no I/O, no clock, no asyncio."""

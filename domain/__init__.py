"""The rules of Flash: events, pure deciders and folds, and the error tree. Rule: no I/O, no clock, no asyncio."""

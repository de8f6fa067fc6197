"""The rules of Flash: events, pure deciders and folds, and the error tree. No I/O, no clock, no asyncio."""

"""What every room above runs on: background tasks, a thread for blocking calls, deferred results, lanes, turns of the event loop, ids,
times, the options of PostgreSQL.

Rule: no Flash concept.
"""

"""What every room above runs on: background tasks, a thread for blocking calls, deferred results, ids, times. Rule: no Flash concept."""

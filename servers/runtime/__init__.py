"""What every room stands on: the thread of a store, deferred results, ids, times. Rule: no concept of Flash lives here."""

"""What servers send each other: outbox, inbox, heartbeats. Rule: at least once on the wire, exactly once in effect, in order."""

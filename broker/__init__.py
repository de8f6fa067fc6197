"""What servers say to each other: the `Broker` port, the envelope, the topology, and two adapters. Rule: a server knows the port only."""

"""What servers say to each other: the `Broker` port, its implementations, the envelope and the topology."""

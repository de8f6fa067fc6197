"""Who is heavy, and who is slowed. Rule: clocks and loops of our own, and no waiting."""

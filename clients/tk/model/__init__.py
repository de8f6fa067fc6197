"""What the popup client knows and how it changes. Rule: a pure fold without clock, disk, network or toolkit."""

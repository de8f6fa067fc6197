"""What the popup client keeps on this machine. Rule: every path and every table is named here, and nothing here waits for the network."""

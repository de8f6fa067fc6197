"""What the popup client keeps on this computer: messages, lists, the grant. Rule: nothing here knows a window or the network."""

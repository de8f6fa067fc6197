"""Who is asking, from where and how often: tokens, passwords, addresses, limits. Rule: whatever is not proven is refused."""

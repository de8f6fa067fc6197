"""Firewalls, proxies and pulled cables, in network namespaces, with real programs. Rule: the machine's own network is left alone."""

"""The messages that wait for one user. Rule: this aggregate never imports another one."""

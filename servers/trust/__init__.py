"""What one server believes of another. Rule: nothing is believed that does not follow from the pinned key of the Global Server.

`ServerIdentity` is a server's; `servers/security/identity.py` has the user's.
"""

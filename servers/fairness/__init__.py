"""Who uses a server most, and who has turns at a tenth. Rule: what is noted here is bounded, and changes nothing of what anybody may do.

It is a folder because the security of a server, its messages and its writer all stand on it, and it stands on none of them.
"""

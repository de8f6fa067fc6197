"""The audit: the history of every server in one indexed store. Rule: what is stored is what the history said, byte for byte.

Unavailable
└── OtherHistory   projections/audit/feeding.py: the store was fed from another history
"""

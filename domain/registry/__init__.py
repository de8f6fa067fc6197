"""Accounts, handles, homes and auditors' trails, as the Global Server keeps them. Rule: no other aggregate is imported here."""

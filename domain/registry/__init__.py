"""Accounts, handles and homes, as the Global Server keeps them. Rule: no aggregate of another room is imported here."""

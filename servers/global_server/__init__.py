"""The Global Server: registration, tokens, the directory, presence for integrators, the console's answers.

Rule: passwords go to `security/passwords.py` only.
"""

"""The pages of the ops console.

Rule: every page but the sign-in form and the static files is behind a gate, and only `markup.py` builds markup.
"""

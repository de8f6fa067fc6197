"""The pages of the ops console.

Rule: everything but the way in and the static files stands behind a gate, and markup is built only by `markup.py`.
"""

"""The only place that changes a log: units of work, group commit, projections, erasure.

Rule: one commit at a time, and all of it or nothing.
"""

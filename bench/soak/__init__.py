"""A long run under a level load, which shows whether memory or descriptors of a server grow.

Rule: how many people, contacts and waiting messages there are stays level; what grows then is a leak.
"""

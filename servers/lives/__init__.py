"""The life of a server's log: whether it was set back, what is put behind its end, and when another life begins. Rule: a log is never
shortened, and nobody's loss is accepted but in the words of the ops.
"""

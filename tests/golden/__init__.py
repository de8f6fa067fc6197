"""One stored sample of every event, per topic and class version, decoded for ever. Rule: a sample, once written, is never changed.

`<topic>.v<class_version>.json` holds the stored bytes as hex, and the event that they must decode to today.
"""

"""`flash enroll`, `flash servers`. Rule: they read and write the Global Server's records only, so they work where its keys can be read."""

"""`python -m tests.golden`: write the samples that are missing. Rule: it never overwrites."""

from tests.golden.samples import write_missing

for path in write_missing():
    print(f"new: {path.name}")

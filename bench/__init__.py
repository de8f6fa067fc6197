"""The load generator and its workloads, see `docs/benchmarks.md`.

Rule: a workload that finds a wrong result has failed, however fast it was.
"""

"""The load generator and its workloads, which `docs/benchmarks.md` explains.

Rule: a workload that finds a wrong result has failed, however fast it was.
"""

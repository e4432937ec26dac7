"""Benchmarks: `python -m benchmarks.NAME` measures one claim of the documentation and prints ours, theirs and their ratio.

`run` and `Result` (harness) are shared by all. docs/benchmarks.md explains each benchmark.
"""

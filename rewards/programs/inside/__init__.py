"""Runners that execute in the sandbox next to an untrusted program, sent there as source.

The host imports only `judge`, and `names` and `values` of `calls`.
"""

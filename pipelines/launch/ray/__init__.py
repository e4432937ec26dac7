"""Ray: the script of a job, and what talks with a cluster.

`jobs`, `probe` and `nodes` run in verl's environment, the only one with Ray; they import it and the standard library.
"""

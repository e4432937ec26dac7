"""The end of a run with evaluations: what each model of the chain reached, and the next command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.evaluation.run_chain import next_command, read_chains
from pipelines.evaluation.tables import chain_tables, print_tables
from pipelines.run.plan import Plan


def print_chains(plan: Plan, warnings: Sequence[str]) -> None:
    """Print the evaluations of a run, from the base to the last model, and what could not be measured."""
    for links in read_chains(plan):
        print_tables(chain_tables(links))
    if command := next_command(plan):
        print(f"compare: {command}")
    sys.stdout.flush()
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)

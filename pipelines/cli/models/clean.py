"""`pipeline clean`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import msgspec
import typer

from pipelines.console.tables import print_rows, say
from pipelines.errors import InputError, file_error
from pipelines.evaluation.finding import open_plan
from pipelines.records.holder import hold, read_holder
from pipelines.results.cleaning import KINDS, Cleaning, Kind, find_removable, remove
from pipelines.results.files import format_size


def clean(run: Path, chosen: Mapping[Kind, bool], *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Print what can be removed from a run, and remove it if the user agrees."""
    plan, kinds = open_plan(run), [kind for kind, wanted in chosen.items() if wanted]
    removes = bool(kinds) and not dry_run
    if yes and not kinds:
        raise InputError(f"--yes: choose what to remove: {', '.join(f'--{kind}' for kind in KINDS)}")
    if removes and not yes and (as_json or not sys.stdin.isatty()):
        raise InputError("nothing was removed; add --yes to remove it, or --dry-run to see it")
    with ExitStack() as stack:
        if removes:
            if holder := read_holder(plan.directory):
                raise InputError(f"{run} is in use by {holder}; stop it first, or add --dry-run")
            stack.enter_context(hold(plan.directory))
        found = find_removable(plan, kinds or KINDS)
        if not as_json:
            _print(found)
        if removes and found.items and (yes or typer.confirm("remove them?", default=False)):
            try:
                remove(plan.directory, found.items)
            except OSError as error:
                raise file_error(f"{error.filename} cannot be removed: {error.strerror}", error) from None
            found = msgspec.structs.replace(found, removed=True)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    elif found.removed:
        say(f"removed; {format_size(found.bytes)} are free again, and finished stages stay finished")
    elif found.items and not kinds:
        say(f"nothing was removed; choose what to remove: {', '.join(f'--{kind}' for kind in KINDS)}")
    elif found.items:
        say("nothing was removed")


def _print(found: Cleaning) -> None:
    """Print the items: on a terminal by what their removal means, elsewhere one per line."""
    if sys.stdout.isatty():
        for (kind, result), group in groupby(found.items, lambda each: (each.kind, each.result)):
            items = list(group)
            say(f"{kind}, {format_size(sum(each.bytes for each in items))}: {result}")
            for each in items:
                say(f"  {format_size(each.bytes):>8}  {each.path}")
    else:
        rows = [(each.kind, each.path, format_size(each.bytes), each.result) for each in found.items]
        print_rows(("kind", "path", "size", "result"), rows)
    for kept in found.kept:
        say(f"kept: {kept.path}: {kept.why}")
    say(f"{format_size(found.bytes)} in all" if found.items else "there is nothing to remove")

"""`pipeline algorithms`."""

from __future__ import annotations

import json
import sys

from pipelines.console import tables
from pipelines.errors import InputError
from pipelines.recipe.algorithms import ALGORITHMS, OUTSIDE
from rewards.suggestions import did_you_mean


def print_algorithms() -> None:
    """Print all algorithms, one line each, and those outside verl's core."""
    lines = [
        (name, "yes" if each.critic else "no", str(each.samples), " or ".join(each.kl) or "none", each.description)
        for name, each in ALGORITHMS.items()
    ]
    tables.print_rows(("algorithm", "critic", "samples", "kl", "description"), lines)
    if sys.stdout.isatty():
        print()
    outside = [(name, each.entry, f"{each.reason}; {each.status}") for name, each in OUTSIDE.items()]
    tables.print_rows(("outside verl's core", "entry", "reason"), outside)


def print_algorithm(name: str) -> None:
    """Print one algorithm: description, source, requirements and verl settings; or why verl's core does not have it.

    Raises:
        InputError: the name is unknown.
    """
    if name in OUTSIDE:
        fields = vars(OUTSIDE[name])
        tables.print_rows(("what", "meaning"), [("outside verl's core", "yes"), *fields.items()])
        return
    algorithm = next((each for known, each in ALGORITHMS.items() if known == name), None)
    if algorithm is None:
        hint = did_you_mean(name, [*ALGORITHMS, *OUTSIDE]) or "; `pipeline algorithms` lists them"
        raise InputError(f"unknown algorithm {name!r}{hint}")
    settings = {"algorithm.adv_estimator": algorithm.estimator, **algorithm.settings}
    kl = f"off by default; with `kl`, in the {' or the '.join(algorithm.kl)}" if algorithm.kl else "none"
    lines = [
        ("title", algorithm.title),
        ("description", algorithm.description),
        ("paper", algorithm.paper),
        ("verl", algorithm.upstream),
        ("requires", algorithm.requirements),
        ("kl", kl),
        *((key, value if isinstance(value, str) else json.dumps(value)) for key, value in settings.items()),
    ]
    tables.print_rows(("what", "meaning"), lines)

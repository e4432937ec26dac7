"""`pipeline algorithms`."""

from __future__ import annotations

import json
from typing import Any

from pipelines.console import tables
from pipelines.errors import InputError
from pipelines.recipe.algorithms import ALGORITHMS, Algorithm
from rewards.suggestions import did_you_mean


def print_algorithms() -> None:
    """Print all algorithms, one line each."""
    lines = [
        (name, "yes" if each.critic else "no", str(each.samples), " or ".join(each.kl) or "none", each.description)
        for name, each in ALGORITHMS.items()
    ]
    tables.print_rows(("algorithm", "critic", "samples", "kl", "description"), lines)


def print_algorithm(name: str) -> None:
    """Print one algorithm: description, source, requirements and verl settings.

    Raises:
        InputError: the name is unknown.
    """
    found = next((each for known, each in ALGORITHMS.items() if known == name), None)
    if found is None:
        hint = did_you_mean(name, ALGORITHMS) or "; `pipeline algorithms` lists them"
        raise InputError(f"unknown algorithm {name!r}{hint}")
    tables.print_rows(("what", "meaning"), _lines(found))


def _lines(algorithm: Algorithm) -> list[tuple[str, str]]:
    settings = {"algorithm.adv_estimator": algorithm.estimator, **algorithm.settings}
    return [
        ("title", algorithm.title),
        ("description", algorithm.description),
        ("paper", algorithm.paper),
        ("verl", algorithm.upstream),
        ("requires", algorithm.requirements),
        ("kl", _show_kl(algorithm)),
        *((key, _show(value)) for key, value in settings.items()),
    ]


def _show_kl(algorithm: Algorithm) -> str:
    if not algorithm.kl:
        return "none"
    usual, *others = algorithm.kl
    return f"off by default; with `kl`, in the {usual}" + "".join(f" or the {other}" for other in others)


def _show(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

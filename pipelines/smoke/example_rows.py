"""What a smoke's rows are made of: a stage's own source where it is here, else the example of its converter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.models.folder import is_cached
from pipelines.run.plan import all_sources
from pipelines.smoke.changes import REMOVED
from preprocess.config import Data, EvaluationSet, Source
from preprocess.converters import find as find_converter
from preprocess.errors import SourceError
from preprocess.sources import hub

ROWS = 32
"""Rows of each source that are taken."""

_FILTERED_ROWS = 2000
"""Rows that are looked at where pass rates choose among them."""

_TIMES = 8
"""How often an example is taken: the smallest have two rows."""

_EXAMPLES_SPLIT = {"fraction": 0.25}
_WITHOUT_RATES = ", whatever their pass rates"
_OWN_IS_ABSENT = "its own rows are not here"

Changed = tuple[str, Any, str, "tuple[str, str] | None"]
"""A key of the data, its new value, why, and how the old and the new one are told of."""


def shrink_data(data: Data, where: str) -> Iterator[Changed]:
    """What of a stage's data is otherwise in a smoke.

    Args:
        where: the place of the data in the recipe, for errors.

    Raises:
        InputError: a source is not here, and its converter has no example.
    """
    train, held_out = _as_list(data.train), data.validation
    absent = [source for source in all_sources(data) if not is_here(source.source)]
    yield "train", *_replace(train, where)
    if isinstance(held_out, list | Source):
        held_out = _as_list(held_out)
        # From one example, training and validation would have the same problems, which would be left out of training.
        taken = {each.converter for each in train if each in absent}
        apart = [each for each in held_out if each not in absent or each.converter not in taken]
        if apart:
            value, why, (_, shown) = _replace(apart, where)
            yield "validation", value, why if apart == held_out else _OWN_IS_ABSENT, (_name(held_out), shown)
        else:
            yield "validation", _EXAMPLES_SPLIT, _OWN_IS_ABSENT, (_name(held_out), "a quarter of the problems")
    elif held_out == "own" and any(each in absent for each in train):
        yield "validation", _EXAMPLES_SPLIT, _OWN_IS_ABSENT, ("own", "a quarter of the problems")
    if data.decontaminate is not None:
        yield from _keep_what_is_here(data.decontaminate.against)
    yield "max_rejects", 1.0, "an example has bad rows on purpose" if absent else "a few rows are no measure", None
    yield "max_overlong", 1.0, "a few rows are no measure", None


def _keep_what_is_here(against: Sequence[EvaluationSet]) -> Iterator[Changed]:
    here = [each for each in against if is_here(each.source)]
    if not here:
        yield "decontaminate", REMOVED, "its evaluation sets are not here", (_name(against), "left out")
    elif len(here) < len(against):
        written = [each.model_dump(exclude_defaults=True) for each in here]
        yield "decontaminate.against", written, "the others are not here", (_name(against), _name(here))


def _as_list(sources: Source | list[Source]) -> list[Source]:
    return sources if isinstance(sources, list) else [sources]


def _name(sources: Sequence[Source | EvaluationSet]) -> str:
    """What the sources are called."""
    return ", ".join(
        dict.fromkeys(Path(each.source).name if Path(each.source).is_absolute() else each.source for each in sources)
    )


def _replace(sources: Sequence[Source], where: str) -> tuple[Any, str, tuple[str, str]]:
    """The sources as a smoke has them, why, and how they are told of."""
    written: list[dict[str, Any]] = []
    shown: list[str] = []
    for source in sources:
        if is_here(source.source):
            taken = _limit(source)
            written.append(taken)
            dropped = source.pass_rates is not None and "pass_rates" not in taken
            shown.append(f"its first {taken['limit']} records{_WITHOUT_RATES if dropped else ''}")
        else:
            written += [_take_example(source, where)] * _TIMES
            shown.append(f"example of {source.converter}{_WITHOUT_RATES if source.pass_rates else ''}")
    absent = [each for each in sources if not is_here(each.source)]
    why = f"{'it is' if len(absent) == 1 else 'they are'} not here" if absent else ""
    return written, why, (_name(sources), ", ".join(dict.fromkeys(shown)))


def _limit(source: Source) -> dict[str, Any]:
    rates = source.pass_rates
    rows = _FILTERED_ROWS if rates is not None else ROWS
    taken = source.model_dump(exclude_defaults=True) | {"limit": min(source.limit or rows, rows)}
    if rates is not None and not Path(rates.file).exists():
        del taken["pass_rates"]
    return taken


def _take_example(source: Source, where: str) -> dict[str, Any]:
    taken = source.model_dump(exclude_defaults=True, exclude={"limit", "pass_rates"})
    if source.file is not None:
        raise InputError(
            f"{where}: there is no {source.source}, and {source.converter}, a converter of yours, comes without an example; "
            "put a few rows there for the smoke"
        )
    try:
        return taken | {"source": str(find_converter(source.converter, None).example)}
    except SourceError:
        return taken  # no such converter, which is said with the recipe's other mistakes


def is_here(source: str) -> bool:
    """Whether a source is on this machine: a path that exists, or a data set that was fetched from the hub before."""
    name = hub.parse(source)
    if Path(source).is_absolute() or name is None:
        return Path(source).exists()
    return is_cached("datasets", name.name)

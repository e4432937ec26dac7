"""The rows of a smoke: the stage's source if it is on this machine, otherwise the example of its converter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.models.folder import is_cached
from pipelines.smoke.changes import REMOVED
from preprocess.config import ComparedSet, Data, Source
from preprocess.converters import find as find_converter
from preprocess.errors import SourceError
from preprocess.sources import hub

ROWS = 32
"""Rows to take from each source."""

_FILTERED_ROWS = 2000
"""Rows to take if pass rates select among them."""

_TIMES = 8
"""Repetitions of an example: the smallest have two rows."""

_WITHOUT_RATES = ", without its pass rates"

Changed = tuple[str, Any, str, "tuple[str, str] | None"]
"""A key of the data, its new value, the reason, and how to list the old and the new value (see `Changes.set`)."""


def shrink_data(data: Data, where: str) -> Iterator[Changed]:
    """Yield the changes to a stage's data; `where` is its place in the recipe, for errors."""
    train, held_out = data.train_sources, data.validation_sources
    missing = [source for source in [*train, *held_out] if not is_local(source.source)]
    yield "train", *_replace(train, where)
    value, why, shown = {"fraction": 0.25}, "its rows are not on this machine", "a quarter of the problems"
    if held_out:
        # Training and validation rows from the same example would share problems, which would be removed from training.
        examples = {each.converter for each in train if each in missing}
        separate = [each for each in held_out if each not in missing or each.converter not in examples]
        if separate:
            new, reason, (_, taken) = _replace(separate, where)
            yield "validation", new, reason if separate == held_out else why, (_name(held_out), taken)
        else:
            yield "validation", value, why, (_name(held_out), shown)
    elif data.validation == "own" and any(each in missing for each in train):
        yield "validation", value, why, ("own", shown)
    if data.decontaminate is not None:
        yield from _keep_local(data.decontaminate.against)
    yield "max_rejects", 1.0, "examples contain bad rows on purpose" if missing else "too few rows for a limit", None
    yield "max_overlong", 1.0, "too few rows for a limit", None
    if data.overlong in ("leave_out", "error"):
        yield "overlong", REMOVED, "a tiny model counts other tokens", (data.overlong, "the default")


def _keep_local(against: Sequence[ComparedSet]) -> Iterator[Changed]:
    local = [each for each in against if is_local(each.source)]
    if not local:
        yield "decontaminate", REMOVED, "its evaluation sets are not on this machine", (_name(against), "removed")
    elif len(local) < len(against):
        written = [each.model_dump(exclude_defaults=True) for each in local]
        yield "decontaminate.against", written, "the others are not on this machine", (_name(against), _name(local))


def _name(sources: Sequence[Source | ComparedSet]) -> str:
    """Return the names of the sources, absolute paths by their last part."""
    return ", ".join(
        dict.fromkeys(Path(each.source).name if Path(each.source).is_absolute() else each.source for each in sources)
    )


def _replace(sources: Sequence[Source], where: str) -> tuple[Any, str, tuple[str, str]]:
    """Return the new sources, the reason, and how to list the old and the new ones."""
    written: list[dict[str, Any]] = []
    shown: list[str] = []
    missing = 0
    for source in sources:
        if is_local(source.source):
            limited = _limit(source)
            written.append(limited)
            dropped = source.pass_rates is not None and "pass_rates" not in limited
            shown.append(f"its first {limited['limit']} records{_WITHOUT_RATES if dropped else ''}")
        else:
            missing += 1
            written += [_take_example(source, where)] * _TIMES
            shown.append(f"example of {source.converter}{_WITHOUT_RATES if source.pass_rates else ''}")
    return written, "not on this machine" if missing else "", (_name(sources), ", ".join(dict.fromkeys(shown)))


def _limit(source: Source) -> dict[str, Any]:
    rates = source.pass_rates
    rows = _FILTERED_ROWS if rates is not None else ROWS
    limited = source.model_dump(exclude_defaults=True) | {"limit": min(source.limit or rows, rows)}
    if rates is not None and not Path(rates.file).exists():
        del limited["pass_rates"]
    return limited


def _take_example(source: Source, where: str) -> dict[str, Any]:
    example = source.model_dump(exclude_defaults=True, exclude={"limit", "pass_rates", "revision"})
    if source.file is not None:
        raise InputError(
            f"{where}: {source.source} does not exist, and the custom converter {source.converter} has no example; "
            "put a few rows there for the smoke"
        )
    try:
        return example | {"source": str(find_converter(source.converter, None).example)}
    except SourceError:
        return example  # an unknown converter, which loading the recipe reports


def is_local(source: str) -> bool:
    """Return whether a source is on this machine: an existing path, or a data set in the hub's cache."""
    name = hub.parse(source)
    if Path(source).is_absolute() or name is None:
        return Path(source).exists()
    return is_cached("datasets", name.name)

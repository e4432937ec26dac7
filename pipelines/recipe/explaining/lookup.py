"""Find a key by its whole name or its end, and explain it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pipelines.errors import InputError
from pipelines.recipe import upstream_keys
from pipelines.recipe.explaining.examples import Example, find_example, flow, nested
from pipelines.recipe.explaining.index import STAGES, Key, recipe_keys
from pipelines.recipe.reserved_keys import ALSO_RENDERED, OBSOLETE, RESERVED, owners
from pipelines.recipe.upstream_keys import SECTIONS
from pipelines.recipe.upstream_limits import describe_range, usual_limits
from rewards.suggestions import nearest

_LISTS = {upstream: (kind, section) for kind, sections in SECTIONS.items() for section, upstream in sections.items()}
"""Key list -> kind of stage, and the section of the stage that its keys are written in."""

_LONGEST_EXAMPLE = 60

_SAMPLES = {"integer": 1, "number": 0.1, "boolean": True}
"""Type of a trainer's key without a default -> an example."""


class UpstreamKey(msgspec.Struct, frozen=True):
    """A key of a trainer."""

    trainer: str
    stages: str
    """The kind of stage that the trainer gets it for."""
    key: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One meaning of a key."""

    key: str
    """Its whole name; STAGE is the name of a stage."""
    source: str
    """`recipe`, or the trainer: `llamafactory`, `verl`."""
    stages: tuple[str, ...] = ()
    """The kinds of the stages that have it."""
    meaning: str = ""
    type: str = ""
    bounds: str = ""
    values: tuple[str, ...] = ()
    required: bool = False
    default: Any = None
    keys: tuple[str, ...] = ()
    """Of a mapping: the keys in it."""
    sets: tuple[UpstreamKey, ...] = ()
    """Of a recipe's key: the trainers' keys that are rendered from it."""
    set_by: tuple[str, ...] = ()
    """Of a trainer's key: the recipe's keys that it is rendered from."""
    refused: str = ""
    """Of a trainer's key: why a recipe may not set it; empty: it may."""
    example: str = ""
    """A line of YAML."""
    example_from: str = ""
    """The shipped recipe that has this value."""
    option: str = ""
    """The same for the command line: `--set …`."""


class Explanations(msgspec.Struct, frozen=True, kw_only=True):
    """What `pipeline explain --json` prints."""

    version: int = 1
    query: str
    matches: tuple[Explanation, ...]
    others: tuple[str, ...] = ()
    """Other keys that end like this."""


def explain(query: str) -> Explanations:
    """Explain a key of a recipe or of a trainer.

    Args:
        query: The whole key, as in a recipe, as in `--set`, or as the trainer writes it; or its end.

    Raises:
        InputError: No key is called so; names the nearest.
    """
    words = [word for word in re.sub(r"\[\d*\]", "", query.strip()).split(".") if word]
    inside, words = _section(words)
    typed, others = ([], []) if inside else _find_typed(words)
    exact = [pair for pair in _upstream_pairs(inside) if pair[1] == ".".join(words)]
    known = {key.short for key in typed}
    upstream = [pair for pair in exact if not known & {*owners(*pair)}]
    if not typed and not upstream:
        upstream = [pair for pair in _upstream_pairs(inside) if f".{pair[1]}".endswith(f".{'.'.join(words)}")]
    found = [*map(_explain_typed, typed), *(_explain_upstream(*pair) for pair in upstream)]
    if not found:
        found = list(_explain_groups(words, inside))
    if not words or not found:
        raise InputError(f"no key {query!r} in a recipe, LLaMA-Factory or verl{_hint(words)}")
    return Explanations(query=query, matches=tuple(found), others=tuple(dict.fromkeys(key.name for key in others)))


def names() -> list[str]:
    """Return all keys as they may be typed: those of a recipe without the stage's name, and those of the trainers."""
    return [*dict.fromkeys([*(key.short for key in recipe_keys()), *(key for _, key in _upstream_pairs(""))])]


def _section(words: list[str]) -> tuple[str, list[str]]:
    """Return the trainer whose section a key is in (`stages.sft.llamafactory.warmup_ratio`), and the key there."""
    for section in ("llamafactory", "verl"):
        if section in words[:-1]:
            return section, words[words.index(section) + 1 :]
    return "", words


def _find_typed(words: Sequence[str]) -> tuple[list[Key], list[Key]]:
    """Return the recipe's keys of this name, and others that end like it."""
    kind = words[1] if words[:1] == ["defaults"] and len(words) > 2 else ""
    if kind in STAGES:
        words = ["stages", *words[2:]]
    paths = [tuple(words)]
    if words[:1] == ["stages"] and len(words) > 2:
        paths.append(("stages", *words[2:]))  # with the stage's name
    keys = [key for key in recipe_keys() if not kind or kind in key.stages]
    ending = [key for key in keys if any(key.path[-len(path) :] == path for path in paths)]
    exact = [key for key in ending if key.path in paths]
    return (exact, [key for key in ending if key not in exact]) if exact else (ending, [])


def _explain_typed(key: Key) -> Explanation:
    path = key.path[1:] if key.stages else key.path
    found = find_example(path, key.stages)
    value = found.value if found else key.default if key.default is not None else next(iter(key.type.values), None)
    example = nested(path, value) if value is not None else ""
    fits = 0 < len(example) <= _LONGEST_EXAMPLE
    return Explanation(
        key=key.name,
        source="recipe",
        stages=key.stages,
        meaning=key.meaning,
        type=key.type.text,
        bounds=key.type.bounds,
        values=key.type.values,
        required=key.required,
        default=key.default,
        keys=key.keys,
        sets=tuple(_rendered_to(key)),
        example=example if fits else "",
        example_from=found.file if found and fits else "",
        option=_option(key, found, value) if fits else "",
    )


def _option(key: Key, found: Example | None, value: Any) -> str:
    if isinstance(value, dict | list) or key.path[0] in ("extends", "defaults"):
        return ""
    name = key.name.replace("STAGE", found.stage) if found and found.stage else key.name
    return f"--set {name}={flow(value)}"


def _rendered_to(key: Key) -> Iterator[UpstreamKey]:
    for upstream, (kind, section) in _LISTS.items():
        if key.stages and kind not in key.stages:
            continue
        for name in sorted(upstream_keys.keys(upstream).keys() | RESERVED[upstream].keys() | _also(upstream)):
            if key.short in owners(upstream, name):
                yield UpstreamKey(section, kind, name)


def _also(upstream: str) -> set[str]:
    return {name for names in ALSO_RENDERED.get(upstream, {}).values() for name in names.split()}


def _upstream_pairs(section: str) -> Iterator[tuple[str, str]]:
    """Yield each list and key of the trainers, of one section or of all."""
    for upstream, (_, name) in _LISTS.items():
        if section in ("", name):
            for key in dict.fromkeys([*upstream_keys.keys(upstream), *RESERVED[upstream]]):
                yield upstream, key


def _explain_upstream(upstream: str, name: str) -> Explanation:
    kind, section = _LISTS[upstream]
    entry = upstream_keys.keys(upstream).get(name, {})
    limits = usual_limits(entry)
    fields = [each for each in (_typed_by_short(field, kind) for field in owners(upstream, name)) if each is not None]
    refused = RESERVED[upstream].get(name, "")
    default = entry.get("default")
    found = None if refused else find_example((section, *name.split(".")), (kind,))
    value = found.value if found else _sample(entry)
    example = f"{section}: {{{nested([name], value)}}}" if value is not None and not refused else ""
    return Explanation(
        key=name,
        source=section,
        stages=(kind,),
        meaning=" ".join(str(entry.get("help", "")).split()),
        type=" or ".join(upstream_keys.type_words(entry)),
        bounds=describe_range(limits),
        values=tuple(str(each) for each in limits.get("enum", []) if each is not None),
        default=default,
        set_by=tuple(key.name for key in fields),
        refused=refused,
        example=example if len(example) <= 2 * _LONGEST_EXAMPLE else "",
        example_from=found.file if found else "",
        option=f"--set stages.STAGE.{section}.{name}={flow(value)}" if example and not isinstance(value, dict | list) else "",
    )


def _sample(entry: Mapping[str, Any]) -> Any:
    """Return a value of a trainer's key: its default, or one of its type."""
    default, types = entry.get("default"), entry.get("type", [])
    if default is not None and "${" not in str(default):
        return default
    if values := [each for each in entry.get("enum", []) if each is not None]:
        return values[0]
    return next((_SAMPLES[each] for each in ([types] if isinstance(types, str) else types) if each in _SAMPLES), None)


def _typed_by_short(field: str, kind: str) -> Key | None:
    matches = [key for key in recipe_keys() if key.short == field and (not key.stages or kind in key.stages)]
    return next(iter(sorted(matches, key=lambda key: not key.stages)), None)


def _explain_groups(words: Sequence[str], section: str) -> Iterator[Explanation]:
    """Yield the groups of upstream keys with this name."""
    name = ".".join(words)
    for upstream, (kind, each) in _LISTS.items():
        if section not in ("", each) or not name:
            continue
        if name in OBSOLETE.get(upstream, {}):
            yield Explanation(key=name, source=each, stages=(kind,), refused=OBSOLETE[upstream][name])
        for group in sorted(group for group in upstream_keys.groups(upstream) if f".{group}".endswith(f".{name}")):
            start = f"{group}."
            inner = dict.fromkeys(
                key.removeprefix(start).split(".")[0] for key in upstream_keys.keys(upstream) if key.startswith(start)
            )
            yield Explanation(key=group, source=each, stages=(kind,), type="a mapping", keys=tuple(inner))


def _hint(words: Sequence[str]) -> str:
    """Return the nearest key by its whole name, or by its last word."""
    if not words:
        return "; expected a key such as rollout.samples"
    typed, every = [key.short for key in recipe_keys()], names()
    for valid in (typed, every):
        last = dict.fromkeys(name.rpartition(".")[2] for name in valid)
        if guess := nearest(".".join(words), [*valid, *last]) or nearest(words[-1], last):
            return f"; did you mean {guess!r}?"
    return ""

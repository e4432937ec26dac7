"""Keys under `verl:` and `llamafactory:`, checked against the pinned upstream's own.

third_party/*/*keys.json hold them (`pipelines.recipe.keys` writes them from the pinned sources), so that checking
imports no upstream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pipelines.recipe.error_messages import found
from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.problems import Problem, RecipeError
from pipelines.recipe.reserved_keys import DEAD, OWNED
from pipelines.shipped import THIRD_PARTY
from rewards.suggestions import any_of, did_you_mean, nearest, suggestion

KEYS = {
    "verl": THIRD_PARTY / "verl/keys.json",
    "verl_sft": THIRD_PARTY / "verl/sft_keys.json",
    "llamafactory": THIRD_PARTY / "llamafactory/keys.json",
}
"""The generated key lists: verl's of its PPO trainer and of its SFT trainer, and LLaMA-Factory's."""

SECTIONS = {
    ("rl", "verl"): "verl",
    ("sft", "llamafactory"): "llamafactory",
    ("sft", "verl"): "verl_sft",
}
"""A stage's kind and its section of upstream keys, which is called after the trainer -> the list; usual trainers first."""
_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


@cache
def keys(upstream: str) -> Mapping[str, Mapping[str, Any]]:
    """Every key of a list, dotted: its `type` (JSON Schema's words), `enum`, `default`, `help`, `engines`."""
    document = json.loads(KEYS[upstream].read_text(encoding="utf-8"))
    return document["keys"]  # type: ignore[no-any-return]


@cache
def groups(upstream: str) -> frozenset[str]:
    """Every mapping that holds keys: `actor_rollout_ref`, `actor_rollout_ref.actor` …"""
    parts = (key.split(".") for key in keys(upstream))
    return frozenset(".".join(part[:end]) for part in parts for end in range(1, len(part)))


def expand(root: Node) -> Node:
    """Turns dotted upstream keys into nested ones, so that they merge and are found however they were written.

    Raises:
        RecipeError: a key is said twice, once dotted and once nested.
    """
    changed: dict[str, Node] = {}
    stages, defaults = root.child("stages"), root.child("defaults")
    if stages is not None and isinstance(stages.value, list):
        changed["stages"] = stages.with_value([_expanded_stage(stage, _kind(stage)) for stage in stages.items])
    if defaults is not None and isinstance(defaults.value, dict):
        kinds = {kind: _expanded_stage(node, kind) for kind, node in defaults.children.items()}
        changed["defaults"] = defaults.with_value(kinds)
    return root.with_value({**root.children, **changed}) if changed else root


def _expanded_stage(stage: Node, kind: str) -> Node:
    if not isinstance(stage.value, dict):
        return stage
    changed = {
        section: _nested(node, upstream, "")
        for section, upstream in _sections(kind)
        if (node := stage.children.get(section)) is not None and isinstance(node.value, dict)
    }
    return stage.with_value({**stage.value, **changed}) if changed else stage


def _kind(stage: Node) -> str:
    said = stage.children.get("kind")
    return str(said.value) if said is not None else ""


def _sections(kind: str) -> list[tuple[str, str]]:
    """The sections of upstream keys that a stage of a kind may have, with their lists."""
    return [(section, upstream) for (of, section), upstream in SECTIONS.items() if of == kind]


def _nested(node: Node, upstream: str, prefix: str) -> Node:
    if prefix and prefix not in groups(upstream):
        return node  # a free mapping: its keys are nobody's business
    result: dict[str, Node] = {}
    for key, child in node.children.items():
        first, _, rest = key.partition(".")
        path = f"{prefix}.{first}" if prefix else first
        value = Node({rest: child}, child.origin) if rest else child
        if isinstance(value.value, dict):
            value = _nested(value, upstream, path) if not rest else _dotted(value, upstream, path)
        result[first] = _joined(result[first], value, path) if first in result else value
    return node.with_value(result)


def _dotted(node: Node, upstream: str, prefix: str) -> Node:
    """The rest of a dotted key, to its end, also inside free mappings."""
    [(key, child)] = node.children.items()
    first, _, rest = key.partition(".")
    path = f"{prefix}.{first}"
    if rest:
        child = _dotted(Node({rest: child}, child.origin), upstream, path)
    elif isinstance(child.value, dict):
        child = _nested(child, upstream, path)
    return node.with_value({first: child})


def _joined(one: Node, other: Node, path: str) -> Node:
    if not isinstance(one.value, dict) or not isinstance(other.value, dict):
        raise RecipeError([Problem(other.origin.text, path, f"said twice; first at {one.origin.text}")])
    both = dict(one.value)
    for key, child in other.value.items():
        both[key] = _joined(both[key], child, f"{path}.{key}") if key in both else child
    return one.with_value(both)


def check(root: Node) -> Iterator[tuple[Loc, str]]:
    """What is wrong with the upstream keys of a recipe: the place and the message."""
    stages = root.child("stages")
    for index, stage in enumerate(stages.items if stages is not None else []):
        for section, upstream in _sections(_kind(stage)):
            node = stage.children.get(section)
            if node is None or not isinstance(node.value, dict):
                continue
            trainer = _trainer(stage)
            if trainer not in dict(_sections(_kind(stage))):
                continue  # the schema refuses it
            if section != trainer and node.value:
                yield ("stages", index, section), f"{section} does not train this stage, {trainer} does; write `{trainer}`"
                continue
            for keys_path, message in check_keys(upstream, node.plain()):
                yield ("stages", index, section, *keys_path), message


def _trainer(stage: Node) -> str:
    said = stage.children.get("trainer")
    return str(said.value) if said is not None else _sections(_kind(stage))[0][0]


def check_keys(upstream: str, values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Checks nested keys of one list: unknown ones, wrong types, and those that a typed field owns."""
    engine = str(values.get("model_engine", "dp"))
    yield from _check_group(upstream, values, (), engine)


def _check_group(
    upstream: str, values: Mapping[str, Any], path: tuple[str, ...], engine: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, value in values.items():
        here = (*path, name)
        key = ".".join(here)
        entry = keys(upstream).get(key)
        if key in OWNED[upstream]:
            yield here, f"{OWNED[upstream][key]}"
        elif entry is not None:
            message = _check_value(entry, value, engine)
            if message:
                yield here, message
        elif key in groups(upstream):
            if isinstance(value, Mapping):
                yield from _check_group(upstream, value, here, engine)
            else:
                yield here, f"found {found(value)}, expected a mapping of keys"
        else:
            yield here, _unknown(upstream, here, value)


def _check_value(entry: Mapping[str, Any], value: Any, engine: str) -> str | None:
    engines = entry.get("engines")
    if engines and engine not in engines:
        return f"a key of model_engine {any_of(engines)}; this stage uses {engine}"
    if isinstance(value, str) and "${" in value:
        return None  # the upstream's own reference to another of its keys
    allowed = entry.get("type", [])
    names = [allowed] if isinstance(allowed, str) else allowed
    if names and not any(_is(name, value) for name in names):
        default = f" (the default is {json.dumps(entry['default'])})" if entry.get("default") is not None else ""
        return f"found {found(value)}, expected {any_of(_NAMES[name] for name in names if name != 'null')}{default}"
    enum = [option for option in entry.get("enum", []) if option is not None]
    if enum and isinstance(value, str) and value not in enum:
        return f"found {value!r}, expected {any_of(enum)}{did_you_mean(value, enum)}"
    return None


def _is(name: str, value: Any) -> bool:
    if name == "null":
        return value is None
    if name in ("integer", "number"):
        return not isinstance(value, bool) and isinstance(value, int if name == "integer" else int | float)
    return isinstance(value, {"boolean": bool, "string": str, "array": list, "object": dict}[name])


def _unknown(upstream: str, path: tuple[str, ...], value: Any) -> str:
    key = ".".join(path)
    if path[0] in DEAD.get(upstream, {}):
        return DEAD[upstream][path[0]]
    # A group's own keys tell where it belongs: `rollout: {n: 4}`.
    below = f".{next(iter(value))}" if isinstance(value, dict) and value else ""
    tails = [other for other in keys(upstream) if other.endswith(f".{key}{below}")]
    if tails:
        whole = min(tails, key=len)
        return f"unknown key; did you mean {whole.removesuffix(below)!r}?"
    parent = ".".join(path[:-1])
    start = f"{parent}." if parent else ""
    siblings = {other.removeprefix(start).split(".")[0] for other in keys(upstream) if other.startswith(start)}
    if near := did_you_mean(path[-1], sorted(siblings)):
        return f"unknown key{near}"
    by_name: dict[str, str] = {}
    for other in sorted(keys(upstream), key=len):
        by_name.setdefault(other.rpartition(".")[2], other)
    elsewhere = nearest(path[-1], by_name)
    if elsewhere:
        return f"unknown key; did you mean {by_name[elsewhere]!r}?"
    return f"unknown key{suggestion(path[-1], siblings)}"

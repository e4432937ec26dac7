"""Validation of the keys under `verl:` and `llamafactory:` against those of the pinned upstreams.

third_party/*/*keys.json list them (generated from the pinned sources by third_party/tools), so no upstream is imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any

import msgspec

from pipelines.recipe import references, upstream_limits
from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.problems import describe_value, error_at
from pipelines.recipe.reserved_keys import FREE_WITH_ENTRY, OBSOLETE, RESERVED
from pipelines.shipped import THIRD_PARTY
from rewards.suggestions import any_of, did_you_mean, nearest, suggestion

KEY_FILES = {
    "verl": THIRD_PARTY / "verl/keys.json",
    "verl_sft": THIRD_PARTY / "verl/sft_keys.json",
    "llamafactory": THIRD_PARTY / "llamafactory/keys.json",
}
"""The generated key lists: of verl's PPO trainer, of its SFT trainer, and of LLaMA-Factory."""

TEMPLATES_FILE = THIRD_PARTY / "llamafactory/templates.json"
"""The generated list of LLaMA-Factory's chat templates."""

SECTIONS = {"rl": {"verl": "verl"}, "sft": {"llamafactory": "llamafactory", "verl": "verl_sft"}}
"""Kind of stage -> section, named after a trainer (the default one first) -> key list."""

_PATHS = (
    *("config_path", "custom_cls.path", "module.path", "function_tool_path", "sampler.path", "async_server.path"),
    *("replay_file", "config_file", "media_dir", "accelerator_config", "fsdp_config"),
)
"""Ends of keys that are paths of files that the trainer reads."""

_TYPES: Mapping[str, tuple[str, type | UnionType]] = {
    "integer": ("a whole number", int),
    "number": ("a number", int | float),
    "boolean": ("true or false", bool),
    "string": ("text", str),
    "array": ("a list", list),
    "object": ("a mapping", dict),
    "null": ("null", NoneType),
}


@cache
def keys(upstream: str) -> Mapping[str, Mapping[str, Any]]:
    """Return every dotted key of a list with its `type` (as in JSON Schema), `default`, `help`, `engines`, and limits.

    third_party/tools/rules.py describes the limits.
    """
    document = msgspec.json.decode(KEY_FILES[upstream].read_bytes())
    return document["keys"]  # type: ignore[no-any-return]


@cache
def groups(upstream: str) -> frozenset[str]:
    """Return every mapping that contains keys: `actor_rollout_ref`, `actor_rollout_ref.actor` …"""
    return find_groups(keys(upstream))


def find_groups(keys: Iterable[str]) -> frozenset[str]:
    """Return every mapping that contains some of the keys, which are dotted."""
    parts = (key.split(".") for key in keys)
    return frozenset(".".join(part[:end]) for part in parts for end in range(1, len(part)))


@dataclass(frozen=True)
class KeyList:
    """The keys that may be set."""

    keys: Mapping[str, Mapping[str, Any]]
    groups: frozenset[str]


def templates() -> Mapping[str, bool]:
    """Return LLaMA-Factory's chat templates: name -> whether it replaces the tokenizer's chat template."""
    return {name: replaces for name, (replaces, _) in _read_templates().items()}


def openings() -> Mapping[str, str | None]:
    """Return what LLaMA-Factory's chat templates write between a question and its answer; None: it is not known.

    `<eos>` stands for the tokenizer's token.
    """
    return {name: opening for name, (_, opening) in _read_templates().items()}


@cache
def _read_templates() -> Mapping[str, tuple[bool, str | None]]:
    document = msgspec.json.decode(TEMPLATES_FILE.read_bytes())
    return document["templates"]  # type: ignore[no-any-return]


def nest_keys(root: Node) -> Node:
    """Convert dotted upstream keys into nested ones, so that both forms merge.

    Raises:
        RecipeError: a key is written both dotted and nested.
    """
    changed: dict[str, Node] = {}
    if root.stages:
        stages = [_nest_sections(stage, stage.text("kind")) for stage in root.stages]
        changed["stages"] = root.children["stages"].with_value(stages)
    if (defaults := root.children.get("defaults")) and defaults.children:
        kinds = {kind: _nest_sections(node, kind) for kind, node in defaults.children.items()}
        changed["defaults"] = defaults.with_value(kinds)
    return root.with_value({**root.children, **changed}) if changed else root


def _nest_sections(stage: Node, kind: str | None) -> Node:
    changed = {
        section: _nest(node, upstream, "")
        for section, upstream in SECTIONS.get(kind or "", {}).items()
        if (node := stage.children.get(section)) and node.children
    }
    return stage.with_value({**stage.children, **changed}) if changed else stage


def _nest(node: Node, upstream: str, prefix: str, dotted: bool = False) -> Node:
    """Nest the dotted keys of a group.

    Args:
        dotted: whether the group is the rest of a dotted key, which is nested even inside a free-form mapping.
    """
    if prefix and not dotted and prefix not in groups(upstream):
        return node  # a free-form mapping, whose keys may contain dots
    result: dict[str, Node] = {}
    for key, child in node.children.items():
        first, _, rest = key.partition(".")
        path = f"{prefix}.{first}" if prefix else first
        if rest:
            child = _nest(Node({rest: child}, child.origin), upstream, path, dotted=True)
        elif isinstance(child.value, dict):
            child = _nest(child, upstream, path)
        result[first] = _join(result[first], child, path) if first in result else child
    return node.with_value(result)


def _join(one: Node, other: Node, path: str) -> Node:
    if not isinstance(one.value, dict) or not isinstance(other.value, dict):
        raise error_at(other.origin.text, path, f"duplicate key; first at {one.origin.text}")
    both = dict(one.value)
    for key, child in other.value.items():
        both[key] = _join(both[key], child, f"{path}.{key}") if key in both else child
    return one.with_value(both)


def check(root: Node) -> Iterator[tuple[Loc, str]]:
    """Find problems of the upstream keys of a recipe: location and message."""
    environments = root.children.get("environments")
    own = environments.children if environments is not None else {}
    for index, stage in enumerate(root.stages):
        sections = SECTIONS.get(stage.text("kind") or "", {})
        trainer = stage.text("trainer") or next(iter(sections), "")
        for section, upstream in sections.items():
            node = stage.children.get(section)
            if node is None or not node.children or trainer not in sections:
                continue  # wrong types are reported by the schema
            if section == trainer and stage.text("entry") is not None:
                # The keys of another entry point are checked where its configuration can be composed (`checks.entries`).
                for path, message in _check_reserved(upstream, node.plain()):
                    yield ("stages", index, section, *path), message
            elif section == trainer:
                values = node.plain()
                plugins = section in own or (section == "verl" and upstream_limits.loads_plugins(values))
                for path, message in check_keys(upstream, values, plugins=plugins):
                    yield ("stages", index, section, *path), message
            else:
                yield ("stages", index, section), f"{trainer} trains this stage, not {section}; use `{trainer}`"


def check_keys(
    upstream: str,
    values: Mapping[str, Any],
    path: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
    *,
    plugins: bool = False,
    listed: KeyList | None = None,
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Check nested keys against a list: unknown keys, wrong types and values, and keys that are set by typed fields.

    Args:
        path: the group that contains `values`.
        settings: all keys of the stage; default: `values`.
        plugins: whether plugins may register more names.
        listed: the keys that may be set; default: the upstream's.
    """
    settings = values if settings is None else settings
    free = FREE_WITH_ENTRY if listed else frozenset()
    listed = listed or KeyList(keys(upstream), groups(upstream))
    for name, value in values.items():
        here = (*path, name)
        key = ".".join(here)
        entry = listed.keys.get(key)
        if key in RESERVED[upstream] and key not in free:
            yield here, RESERVED[upstream][key]
        elif entry is not None:
            if message := _check_value(upstream, key, entry, value, settings, plugins):
                yield here, message
            elif isinstance(value, Mapping) and (overlap := _find_overlap(value)):
                yield here, f"{overlap} has both a value and keys below it"
            elif isinstance(value, Mapping) and (near := _near_miss(value, entry.get("properties", {}))):
                yield (*here, near), f"unknown key{did_you_mean(near, entry['properties'])}"
            elif entry is not None and isinstance(value, str) and _is_relative_path(key, value):
                yield here, f"found the relative path {value!r}; the trainer runs in the run directory: write an absolute path"
            for inner, limits in entry.get("properties", {}).items():
                given = value.get(inner) if isinstance(value, Mapping) else None
                if "enum" in limits and not isinstance(given, str | None):
                    yield (*here, inner), f"found {describe_value(given)}, expected {any_of(limits['enum'])}"
                elif given is not None and (message := _check_value(upstream, inner, limits, given, settings, plugins)):
                    yield (*here, inner), message
        elif key not in listed.groups:
            yield here, _unknown_key(upstream, here, value, listed.keys)
        elif isinstance(value, Mapping):
            yield from check_keys(upstream, value, here, settings, plugins=plugins, listed=listed)
        else:
            yield here, f"found {describe_value(value)}, expected a mapping of keys"


def _check_reserved(
    upstream: str, values: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find the keys that are set by typed fields or by the run."""
    for name, value in values.items():
        here = (*path, name)
        if (key := ".".join(here)) in RESERVED[upstream] and key not in FREE_WITH_ENTRY:
            yield here, RESERVED[upstream][key]
        elif isinstance(value, Mapping):
            yield from _check_reserved(upstream, value, here)


def _is_relative_path(key: str, text: str) -> bool:
    """Return whether a value is a relative path, for keys that are paths and nothing else."""
    path = text and not text.startswith(("/", "~", "{")) and "://" not in text and "${" not in text
    return bool(path) and key.endswith(_PATHS)


def _find_overlap(value: Mapping[str, Any]) -> str:
    """Return a key of a free-form mapping that is a value and, dotted, the beginning of another, or an empty text."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            if found := _find_overlap(inner):
                return f"{name}.{found}"
        elif any(other.startswith(f"{name}.") for other in value):
            return name
    return ""


def _near_miss(value: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Return a key of a free-form mapping that is a misspelled key with limits, or an empty text."""
    return next((name for name in value if name not in known and nearest(name, known)), "")


def _check_value(
    upstream: str, key: str, entry: Mapping[str, Any], value: Any, settings: Mapping[str, Any], plugins: bool
) -> str:
    engines, engine = entry.get("engines"), str(settings.get("model_engine", "dp"))
    if engines and engine not in engines:
        return f"only valid with model_engine {any_of(engines)}; this stage uses {engine}"
    if isinstance(value, str) and ("${" in value or value == "???"):
        return references.find_problem(value, keys(upstream))
    allowed = entry.get("type", [])
    names = [allowed] if isinstance(allowed, str) else allowed
    # In Python, true and false are whole numbers.
    fits = (isinstance(value, _TYPES[name][1]) and isinstance(value, bool) == (name == "boolean") for name in names)
    if names and not any(fits):
        default = f" (the default is {json.dumps(entry['default'])})" if entry.get("default") is not None else ""
        expected = any_of(_TYPES[name][0] for name in names if name != "null")
        return f"found {describe_value(value)}, expected {expected}{default}"
    return upstream_limits.find_problem(key, entry, value, settings, plugins)


def _unknown_key(upstream: str, path: tuple[str, ...], value: Any, known: Iterable[str]) -> str:
    if path[0] in OBSOLETE.get(upstream, {}):
        return OBSOLETE[upstream][path[0]]
    # A group without its parents, recognized by one of its keys: `rollout: {n: 4}`.
    below = f".{next(iter(value))}" if isinstance(value, dict) and value else ""
    tails = [other for other in known if other.endswith(f".{'.'.join(path)}{below}")]
    if tails:
        return f"unknown key; did you mean {min(tails, key=len).removesuffix(below)!r}?"
    start = "".join(f"{group}." for group in path[:-1])
    siblings = {other.removeprefix(start).split(".")[0] for other in known if other.startswith(start)}
    if near := did_you_mean(path[-1], sorted(siblings)):
        return f"unknown key{near}"
    by_name = {other.rpartition(".")[2]: other for other in sorted(known, key=len)[::-1]}
    elsewhere = nearest(path[-1], by_name)
    return f"unknown key; did you mean {by_name[elsewhere]!r}?" if elsewhere else f"unknown key{suggestion(path[-1], siblings)}"


def type_words(entry: Mapping[str, Any]) -> list[str]:
    """Return the types of a key of a list in words."""
    allowed = entry.get("type", [])
    return [_TYPES[name][0] for name in ([allowed] if isinstance(allowed, str) else sorted(allowed, key="null".__eq__))]

"""The configuration keys of verl's PPO and SFT trainers, from its YAML files, dataclasses and code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import counts
import verl_limits
from dataclass_reader import ABSENT, Classes, Field, Type
from limits import Limits
from rules import Entry, add_case, apply

from pipelines.recipe.nodes import Origin
from pipelines.recipe.reading import read

_LIMITS = ("enum", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "excludes")

_CONFIG = "trainer/config"
_ENGINES = {
    "dp": "_generated_ppo_trainer.yaml",
    "megatron": "_generated_ppo_megatron_trainer.yaml",
    "torchtitan": "_generated_ppo_torchtitan_trainer.yaml",
    "veomni": "_generated_ppo_veomni_trainer.yaml",
}
_SFT = "sft_trainer_engine.yaml"
_REFERENCE = re.compile(r"\$\{(?:oc\.select:)?\s*([\w.]+)")

# Mappings that verl passes on unchanged, so that any key is valid in them.
_FREE = {
    "ray_kwargs.ray_init": "ray.init's arguments",
    "ray_kwargs.ray_init.runtime_env": "ray.init's arguments",
    "actor_rollout_ref.rollout.engine_kwargs": "each inference engine's arguments",
    "distillation.teacher_models": "one entry per teacher, named by the user",
    "actor_rollout_ref.model.lora": "Megatron's adapters",
    "critic.model.lora": "Megatron's adapters",
    "model.lora": "Megatron's adapters",
    "data.apply_chat_template_kwargs": "arguments of the tokenizer's chat template",
    "global_profiler.global_tool_config.nsys.controller_nsight_options": "nsys's flags",
    "global_profiler.global_tool_config.nsys.worker_nsight_options": "nsys's flags",
}

# Groups that verl no longer reads.
_OBSOLETE = ("custom_reward_function.", "reward_model.", "sandbox_fusion.")
# Fields that verl sets itself.
_INTERNAL = {
    "architectures",
    "engine",
    "generation_config",
    "hf_config",
    "local_hf_config_path",
    "local_path",
    "local_tokenizer_path",
    "model_config",
    "processor",
    "tokenizer",
}

# Keys that are read in code but are in no YAML file or dataclass.
_READ_IN_CODE = [
    (re.compile(r"config\.data\.get\(\s*\"(\w+)\""), "data", "**/*.py"),
    (re.compile(r"self\.config\.get\(\s*\"(\w+)\""), "data", "utils/dataset/rl_dataset.py"),
    (re.compile(r"\bconfig\.get\(\s*\"(\w+)\""), "data", "utils/dataset/rl_dataset.py"),
    (re.compile(r"config\.trainer\.get\(\s*\"(\w+)\""), "trainer", "**/*.py"),
    (re.compile(r"config\.algorithm\.get\(\s*\"(\w+)\""), "algorithm", "**/*.py"),
    (re.compile(r"config\.reward\.get\(\s*\"(\w+)\""), "reward", "**/*.py"),
    (re.compile(r"reward_fn_config\.get\(\s*\"(\w+)\""), "reward.custom_reward_function", "trainer/ppo/reward.py"),
]


def ppo_keys(source: Path, packages: Path) -> dict[str, Entry]:
    """Return every key of `verl:` of an rl stage with its type, default and limits.

    Args:
        source: the verl checkout, which contains `verl/`.
        packages: the `site-packages` of its environment.
    """
    package = source / "verl"
    classes = _classes(package)
    per_engine = {engine: _engine_keys(_read_yaml(package / _CONFIG / file), classes) for engine, file in _ENGINES.items()}
    result: dict[str, Entry] = {"model_engine": {"type": "string", "enum": list(_ENGINES), "default": "dp"}}
    for found in per_engine.values():
        for key, entry in found.items():
            if not key.startswith(_OBSOLETE):
                result.setdefault(key, entry)
    for key, entry in result.items():
        having = [engine for engine, found in per_engine.items() if key in found]
        if having and len(having) < len(_ENGINES):
            entry["engines"] = having
        _limit_to_engines(entry, {engine: per_engine[engine][key] for engine in having})
    for pattern, prefix, files in _READ_IN_CODE:
        for file in sorted(package.glob(files)):
            for name in pattern.findall(file.read_text(encoding="utf-8")):
                key = f"{prefix}.{name}"
                if key not in result and not any(other.startswith(f"{key}.") for other in result):
                    result[key] = {"type": "object"} if name.endswith("kwargs") else {}
                    result[key]["added"] = True
    _allow_one_logger(result)
    apply(verl_limits.rl_rules(source, packages), result)
    apply(counts.rules("verl", result), result)
    return dict(sorted(result.items()))


def _limit_to_engines(entry: Entry, found: dict[str, Entry]) -> None:
    """Turn limits of a key that not all of its engines have into a case for those that do."""
    limits = _limits_of(entry)
    agreeing = [engine for engine, other in found.items() if _limits_of(other) == limits]
    if limits and len(agreeing) < len(found):
        for name in limits:
            del entry[name]
        add_case(entry, limits, {"model_engine": agreeing})


def _limits_of(entry: Entry) -> Limits:
    return {name: entry[name] for name in _LIMITS if name in entry}


def sft_keys(source: Path, packages: Path) -> dict[str, Entry]:
    """Return every key of `verl:` of an sft stage, with the FSDP engine: other engines have other Hydra defaults."""
    package = source / "verl"
    result = _engine_keys(_read_with_defaults(package / _CONFIG / _SFT), _classes(package))
    _allow_one_logger(result)
    apply(verl_limits.sft_rules(source, packages), result)
    apply(counts.rules("verl", result), result)
    return dict(sorted(result.items()))


def _allow_one_logger(keys: dict[str, Entry]) -> None:
    # utils/tracking.py accepts the name of one logger as well as a list.
    keys["trainer.logger"]["type"] = ["array", "string"]


def files(source: Path) -> list[Path]:
    """Return the files that `ppo_keys` and `sft_keys` read."""
    config = source / "verl" / _CONFIG
    composed = [config / _SFT, *sorted(config.glob("[!_]*/*.yaml"))]
    return sorted((source / "verl").rglob("*.py")) + [config / file for file in _ENGINES.values()] + composed


def _classes(package: Path) -> Classes:
    folders = ("workers/config", "trainer/config", "utils")
    return Classes(file for folder in folders for file in (package / folder).rglob("*.py"))


def _read_yaml(file: Path) -> dict[str, Any]:
    tree = read(file.read_text(encoding="utf-8"), lambda line: Origin(file.parent, f"{file.name}:{line}", (0, line)))
    plain: dict[str, Any] = tree.plain()
    return plain


def _read_with_defaults(file: Path) -> dict[str, Any]:
    """Read a file and merge it over its Hydra defaults (`folder@key: name`)."""
    values = _read_yaml(file)
    result: dict[str, Any] = {}
    for entry in values.pop("defaults"):
        for place, name in entry.items() if isinstance(entry, dict) else ():
            folder, _, key = place.partition("@")
            result[key] = _read_yaml(file.parent / folder / f"{name}.yaml")
    return result | values


def _engine_keys(values: dict[str, Any], classes: Classes) -> dict[str, Entry]:
    result = dict(_walk(values, "", None, classes))
    for key, entry in result.items():
        entry.update(_resolve_type(entry, key, result))
    return result


def _walk(values: dict[str, Any], prefix: str, cls: str | None, classes: Classes) -> Iterator[tuple[str, Entry]]:
    target = values.get("_target_")
    cls = str(target).rpartition(".")[2] if target else cls
    fields = classes.fields(cls) if cls else {}
    for name, value in values.items():
        if name != "_target_":
            yield from _key(f"{prefix}{name}", value, fields.get(name), classes)
    for name, field in fields.items():
        if name not in values and name not in _INTERNAL:
            for key, entry in _from_field(f"{prefix}{name}", field, classes):
                yield key, {**entry, "added": True}


def _key(key: str, value: Any, field: Field | None, classes: Classes) -> Iterator[tuple[str, Entry]]:
    if key in _FREE or value == {}:
        yield key, {"type": "object", **({"help": _FREE[key]} if key in _FREE else {})}
    elif isinstance(value, dict):
        yield from _walk(value, f"{key}.", field.type.cls if field else None, classes)
    else:
        yield (
            key,
            {
                **_typed(field.type if field else _guess(value), value),
                **(field.limits if field else {}),
                **_default(ABSENT if value == "???" else value),
            },
        )


def _from_field(key: str, field: Field, classes: Classes) -> Iterator[tuple[str, Entry]]:
    if field.type.cls and (inner := classes.fields(field.type.cls)):
        for name, nested in inner.items():
            yield from _from_field(f"{key}.{name}", nested, classes)
    else:
        yield key, {**_typed(field.type, field.default), **field.limits, **_default(field.default)}


def _default(value: Any) -> Entry:
    return {} if value is ABSENT else {"default": value}


def _typed(kind: Type, value: Any) -> Entry:
    names = set(kind.names)
    # The default in the YAML is always valid, even if the annotation does not allow it (null, or a list for `str`).
    if names and not _is_reference(value) and value not in ("???", ABSENT):
        names |= set(_kind(value)) - ({"integer"} if "number" in names else set())
    listed = sorted(names)
    entry: Entry = {"type": listed[0] if len(listed) == 1 else listed} if listed else {}
    return {**entry, **({"enum": list(kind.enum)} if kind.enum else {})}


_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", type(None): "null"}


def _kind(value: Any) -> tuple[str, ...]:
    return (_KINDS[type(value)],) if type(value) in _KINDS else ()


def _guess(value: Any) -> Type:
    """Infer a type from a default without an annotation; empty if the default is null or a reference."""
    if value is None or value == "???" or _is_reference(value):
        return Type()
    if isinstance(value, str):
        return Type(("null", "string"))
    # 0 and 1 are often fractions and weights, other integers are counts.
    return Type(("number",)) if type(value) is int and value in (0, 1) else Type(_kind(value))


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def _resolve_type(entry: Entry, key: str, result: dict[str, Entry]) -> Entry:
    """Return the type of the key that a default refers to (`${other.key}`)."""
    default, seen = entry.get("default"), {key}
    while "type" not in entry and _is_reference(default):
        match = _REFERENCE.match(str(default))
        other = match[1] if match else ""
        if other.startswith("."):
            other = f"{key.rpartition('.')[0]}{other}"
        if other not in result or other in seen:
            return {}
        seen.add(other)
        found = result[other]
        default = found.get("default")
        if "type" in found:
            return {name: found[name] for name in ("type", "enum") if name in found}
    return {}

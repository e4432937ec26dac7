"""The JSON Schema of recipe files, for editors.

Draft 7, which yaml-language-server supports best. It describes files before loading: `extends`, `${env:NAME}` instead of
numbers, nested or dotted upstream keys; no key is required with `extends` or `defaults`, which may set it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipelines.recipe import upstream_keys
from pipelines.recipe.reserved_keys import RESERVED
from pipelines.recipe.schema import Recipe, RlStage, SftStage

Schema = dict[str, Any]

EXTENDS = "A recipe file, or a list of them, that this one is merged over; relative to this file."
DEFAULTS = "Keys for all stages of a kind; a stage overrides them."
"""The meanings of the two keys that exist only before loading."""

_MAX_LINE = 160
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_UNLISTED = {"open", "separator", "also", "any_case"}
"""With one of these, a key may have other values than those listed."""

_KINDS: dict[str, type[SftStage | RlStage]] = {"sft": SftStage, "rl": RlStage}


def dump_schema() -> str:
    """Return the text of recipes/recipe.schema.json: JSON with short values on one line."""
    return _dump(build_schema(), 0) + "\n"


def build_schema() -> Schema:
    """Return the schema as plain data."""
    whole = Recipe.model_json_schema(ref_template="#/$defs/{model}")
    full: Schema = whole.pop("$defs")
    full["Recipe"] = whole
    definitions: Schema = {}
    for prefix, required in (("", True), ("Partial", False)):
        for name, definition in full.items():
            definitions[f"{prefix}{name}"] = _convert(definition, prefix, required)
        definitions[f"{prefix}Recipe"]["properties"]["stages"]["items"] = _stage(prefix, required)
        for kind, sections in upstream_keys.SECTIONS.items():
            for section, keys in sections.items():
                definitions[f"{prefix}{_KINDS[kind].__name__}"]["properties"][section] |= {"$ref": f"#/$defs/{keys}"}
    extends = {
        "description": EXTENDS,
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    }
    defaults = {
        "description": DEFAULTS,
        "type": "object",
        "properties": {kind: {"$ref": f"#/$defs/Partial{model.__name__}"} for kind, model in _KINDS.items()},
        "additionalProperties": False,
    }
    for name in ("PartialRecipe", "Recipe"):
        definitions[name]["properties"] |= {"extends": extends, "defaults": defaults}
    definitions["Variable"] = {
        "type": "string",
        "pattern": r"^\$\{env:",
        "description": "${env:NAME} or ${env:NAME:default}: the value of an environment variable.",
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Recipe",
        "description": " ".join((Recipe.__doc__ or "").split()),
        "type": "object",
        "if": {"anyOf": [{"required": ["extends"]}, {"required": ["defaults"]}]},
        "then": {"$ref": "#/$defs/PartialRecipe"},
        "else": {"$ref": "#/$defs/Recipe"},
        "$defs": definitions
        | {
            keys: _section(keys, _KINDS[kind].describe_fields()[section])
            for kind, sections in upstream_keys.SECTIONS.items()
            for section, keys in sections.items()
        },
    }


# Dotted keys are checked when the recipe is loaded.
_CLOSED: Schema = {"additionalProperties": False, "patternProperties": {r"\.": {}}}


def _stage(prefix: str, required: bool) -> Schema:
    by_kind = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"$ref": f"#/$defs/{prefix}{model.__name__}"},
        }
        for kind, model in _KINDS.items()
    ]
    stage: Schema = {
        "type": "object",
        "properties": {"kind": {"enum": list(_KINDS), "description": "The kind of stage."}},
        "required": ["name", "kind"] if required else ["name"],
        "allOf": by_kind,
    }
    if not required:
        # Without a kind, it is that of the extended recipe's stage.
        either = {"anyOf": [each["then"] for each in by_kind]}
        stage["allOf"] = [*by_kind, {"if": {"not": {"required": ["kind"]}}, "then": either}]
    return stage


def _convert(schema: Any, prefix: str, required: bool) -> Any:
    """Convert pydantic's schema: allow variables instead of values, add the prefix to references."""
    if isinstance(schema, list):
        return [_convert(item, prefix, required) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for key, value in schema.items():
        if key == "$ref":
            result[key] = value.replace("#/$defs/", f"#/$defs/{prefix}")
        elif key == "properties":
            result[key] = {name: _convert(inner, prefix, required) for name, inner in value.items()}
        elif key in ("default", "enum", "const", "description"):
            result[key] = " ".join(value.split()) if key == "description" else value
        elif key not in ("title", "discriminator") and (required or key != "required"):
            # A partial mapping may match two members of a union.
            result["anyOf" if key == "oneOf" else key] = _convert(value, prefix, required)
    return _or_variable(result)


def _or_variable(schema: Schema) -> Schema:
    if not (schema.get("type") in ("integer", "number", "boolean") or "enum" in schema or "pattern" in schema):
        return schema
    about = {key: schema.pop(key) for key in ("description", "default") if key in schema}
    return about | {"anyOf": [schema, {"$ref": "#/$defs/Variable"}]}


def _section(keys: str, description: str) -> Schema:
    """Return the schema of a section: nested keys, and dotted ones if the upstream's configuration lists them."""
    tree = _group()
    dotted: Schema = {}
    for key, entry in upstream_keys.keys(keys).items():
        if key in RESERVED[keys]:
            continue
        *groups, last = key.split(".")
        place = tree
        for group in groups:
            place = place["properties"].setdefault(group, _group())
        place["properties"][last] = _leaf(entry)
        if groups and "added" not in entry and "dp" in entry.get("engines", ["dp"]):
            dotted[key] = _leaf(entry)
    properties = tree["properties"] | dotted
    return {"type": "object", "properties": properties, "description": description, **_CLOSED}


def _group() -> Schema:
    return {"type": "object", "properties": {}, **_CLOSED}


def _leaf(entry: Any) -> Schema:
    leaf: Schema = {}
    if "help" in entry:
        leaf["description"] = entry["help"]
    default, names = entry.get("default"), entry.get("type", [])
    if default is not None and not str(default).startswith("${"):
        leaf["default"] = default
    names = [names] if isinstance(names, str) else names
    if "enum" in entry and not _UNLISTED & entry.keys():
        return leaf | {"anyOf": list(_choices(entry["enum"], names))}
    bounds = {name: entry[name] for name in _BOUNDS if name in entry}
    if bounds and "array" in names:
        bounds = {"items": bounds}
    if names and "string" not in names:
        # Variables, and references of the upstream: ${actor_rollout_ref.model.path}.
        return leaf | bounds | {"type": [*names, "string"], "pattern": r"\$\{"}
    return leaf | bounds | ({"type": names if len(names) > 1 else names[0]} if names else {})


def _choices(enum: list[Any], names: list[str]) -> Iterator[Schema]:
    """Yield the schemas of a key's values: the listed ones, variables, lists of both, and its other types."""
    variable = {"type": "string", "pattern": r"\$\{"}
    yield {"enum": enum}
    yield variable
    if "array" in names:
        yield {"type": "array", "items": {"anyOf": [{"enum": enum}, variable]}}
    if others := [name for name in names if name not in ("string", "integer", "array")]:
        yield {"type": others if len(others) > 1 else others[0]}


def _dump(value: Any, depth: int) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= _MAX_LINE or not value or not isinstance(value, dict | list):
        return line
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"{inner}{_dump(item, depth + 1)}" for item in value) + f"\n{outer}]"
    entries = (f"{inner}{json.dumps(key)}: {_dump(item, depth + 1)}" for key, item in value.items())
    return "{\n" + ",\n".join(entries) + f"\n{outer}}}"

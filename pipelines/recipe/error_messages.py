"""The messages of pydantic's validation errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines.recipe import other_names, schema_lookup
from pipelines.recipe.algorithms import OUTSIDE
from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.problems import SHOWN, describe_value
from pipelines.recipe.schema import Recipe
from rewards.suggestions import any_of, did_you_mean, nearest

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}

_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def explain(
    error: ValidationError, root: Node, model: type[BaseModel] = Recipe, *, partial: bool = False
) -> list[tuple[Loc, str]]:
    """Convert each error into its location in the tree and a message.

    Args:
        error: The errors.
        root: The tree.
        model: The type of the tree.
        partial: Leave out missing keys, contradictions between keys, and null, which removes a value in another place.
    """
    errors = [(_location(item["loc"]), item) for item in error.errors(include_url=False)]
    if partial:
        errors = [pair for pair in errors if not _needs_all_keys(pair[1])]
    # One more than are shown: finding the nearest name of many takes long.
    errors = sorted(errors, key=lambda pair: root.nearest(pair[0]).origin.order)[: SHOWN + 1]
    # A misspelled key is not also reported as a missing one.
    guesses = {
        (*loc[:-1], guess)
        for loc, item in errors
        if item["type"] == "extra_forbidden" and (guess := nearest(loc[-1], schema_lookup.fields_at(root, loc[:-1], model)))
    }
    problems = []
    for loc, item in errors:
        kind = item["type"]
        if kind == "missing" and loc in guesses:
            continue
        place = loc[:-1] if kind == "missing" else (*loc, "kind") if kind == "union_tag_invalid" else loc
        empty = root.nearest(loc).empty
        hint = f"; the environment variable {empty} is empty" if empty else ""
        problems.append((place, _message(root, loc, item, model) + hint))
    return problems


def _needs_all_keys(item: ErrorDetails) -> bool:
    """Return whether an error may vanish when more keys are set."""
    kind, given = item["type"], item["input"]
    return given is None or kind in ("missing", "union_tag_not_found") or (kind == "value_error" and isinstance(given, dict))


def _location(raw: tuple[int | str, ...]) -> Loc:
    """Remove the union members (`(list)`, a stage's kind) from pydantic's location."""
    return tuple(
        step
        for index, step in enumerate(raw)
        if not (index == 2 and raw[0] == "stages") and not (isinstance(step, str) and step.startswith("("))
    )


def _message(root: Node, loc: Loc, item: Mapping[str, Any], model: type[BaseModel]) -> str:
    kind, given = item["type"], item["input"]
    context: Mapping[str, Any] = item.get("ctx", {})
    if kind in _EXPECTED:
        return _wrong_type(given, _EXPECTED[kind])
    if kind in _BOUNDS:
        words, limit = _BOUNDS[kind]
        return f"found {given}, expected {words} {context[limit]:g}"
    match kind:
        case "extra_forbidden":
            return _unknown_key(loc, schema_lookup.fields_at(root, loc[:-1], model), root, model)
        case "missing":
            first_sentence = " ".join(schema_lookup.meaning_at(root, loc, model).split()).split(". ")[0].rstrip(".")
            return f"missing key {loc[-1]}" + (f" ({first_sentence})" if first_sentence else "")
        case "union_tag_not_found":
            return "missing key kind: sft or rl" if isinstance(given, dict) else _wrong_type(given, "a mapping")
        case "union_tag_invalid":
            return _wrong_choice(context["tag"], ["sft", "rl"])
        case "literal_error" if loc[-1] == "algorithm" and isinstance(given, str) and given in OUTSIDE:
            entry = OUTSIDE[given].entry
            return f"{given} is outside verl's core; set `entry: {entry}` and `checkout`, and here the estimator that it uses"
        case "literal_error":
            return _wrong_choice(given, re.findall(r"'([^']*)'", context["expected"]))
        case "value_error":
            return str(context["error"])
        case "too_short":
            return f"found an empty list, expected at least {context['min_length']} item"
        case "string_too_short":
            return "found empty text"
        case "string_too_long":
            return f"found {len(given)} characters, expected at most {context['max_length']}"
        case "string_pattern_mismatch":
            return f"found {given!r}, expected letters, digits, '.', '_' and '-', starting with a letter or a digit"
    return f"found {given!r}: {item['msg']}"


def _wrong_type(value: object, expected: str) -> str:
    hint = "; put it in quotes" if expected == "text" and isinstance(value, int | float) else ""
    return f"found {describe_value(value)}, expected {expected}{hint}"


def _wrong_choice(value: object, values: list[str]) -> str:
    return f"found {value!r}, expected {any_of(values)}" + (did_you_mean(value, values) if isinstance(value, str) else "")


def _unknown_key(loc: Loc, valid: Mapping[str, Any], root: Node, model: type[BaseModel]) -> str:
    name = str(loc[-1])
    for key, field in valid.items():
        if name in schema_lookup.fields(schema_lookup.matching_types(field.annotation)):
            return f"unknown key here; did you mean {f'{key}.{name}'!r}?"
    if model is Recipe:
        valid = {**valid, **dict.fromkeys(("extends", "defaults") if len(loc) == 1 else ())}
        stage = root.stages[loc[1]] if loc[0] == "stages" and isinstance(loc[1], int) else None
        if meant := other_names.find(name, stage.text("kind") if stage else None):
            where = ".".join(str(step) for step in loc[2:-1]) if stage else ""
            return f"unknown key; did you mean {meant.removeprefix(f'{where}.')!r}?"
    return f"unknown key{did_you_mean(name, valid) or f'; expected {any_of(valid)}'}"

"""pydantic's errors in a person's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from pipelines.recipe import schema_lookup
from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.problems import Problem, problem_at
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

Located = tuple[Loc, Problem]


def explain(error: ValidationError, root: Node) -> list[Located]:
    """One problem per error, with the place in the tree it is about."""
    errors = [(_loc(tuple(item["loc"]), root), item) for item in error.errors(include_url=False)]
    # Values for which a misspelled key was surely meant are not missing as well.
    guesses = {
        (*loc[:-1], guess)
        for loc, item in errors
        if item["type"] == "extra_forbidden" and (guess := nearest(str(loc[-1]), schema_lookup.fields_at(root, loc[:-1])))
    }
    return [
        (place := _shown(loc, item["type"]), problem_at(root, place, _message(root, loc, item)))
        for loc, item in errors
        if not (item["type"] == "missing" and loc in guesses)
    ]


def _loc(raw: tuple[int | str, ...], root: Node) -> Loc:
    """pydantic's place without the union members it walked through."""
    loc: Loc = ()
    for index, step in enumerate(raw):
        is_kind = index == 2 and raw[0] == "stages"
        if not is_kind and not (isinstance(step, str) and step.startswith("(")):
            loc = (*loc, step)
    return loc


def _shown(loc: Loc, kind: str) -> Loc:
    if kind == "missing":
        return loc[:-1]
    return (*loc, "kind") if kind == "union_tag_invalid" else loc


def _message(root: Node, loc: Loc, item: Mapping[str, Any]) -> str:
    kind: str = item["type"]
    context: Mapping[str, Any] = item.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(root, loc)
    if kind == "missing":
        return _missing(str(loc[-1]), schema_lookup.fields_at(root, loc[:-1]).get(str(loc[-1])))
    if kind == "union_tag_not_found":
        return "missing key kind: sft or rl" if isinstance(item["input"], dict) else _found(item["input"], "a mapping")
    if kind == "union_tag_invalid":
        return _choice(context["tag"], ["sft", "rl"])
    if kind == "literal_error":
        return _choice(item["input"], schema_lookup.choices_at(root, loc))
    if kind == "value_error":
        return str(context["error"])
    if kind in _EXPECTED:
        return _found(item["input"], _EXPECTED[kind])
    if kind == "too_short":
        return f"found an empty list, expected at least {context['min_length']} item"
    if kind == "string_too_short":
        return "found empty text"
    if kind == "string_too_long":
        return f"found {len(item['input'])} characters, expected at most {context['max_length']}"
    if kind == "string_pattern_mismatch":
        return f"found {item['input']!r}, expected letters, digits, '.', '_' and '-', the first a letter or a digit"
    bound = _BOUNDS.get(kind)
    if bound is not None:
        return f"found {item['input']}, expected {bound(context)}"
    return f"found {item['input']!r}: {item['msg']}"


_BOUNDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"at least {context['ge']:g}",
    "less_than": lambda context: f"less than {context['lt']:g}",
    "less_than_equal": lambda context: f"at most {context['le']:g}",
}


def found(value: object) -> str:
    """A value as a message names it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return f"the text {value!r}" if isinstance(value, str) else repr(value)


def _found(value: object, expected: str) -> str:
    hint = "; put it in quotes" if expected == "text" and isinstance(value, int | float) else ""
    return f"found {found(value)}, expected {expected}{hint}"


def _choice(value: object, values: list[Any]) -> str:
    return f"found {value!r}, expected {any_of(values)}" + (did_you_mean(value, values) if isinstance(value, str) else "")


def _missing(key: str, field: FieldInfo | None) -> str:
    return f"missing key {key}" + (f" ({_first_sentence(field.description)})" if field and field.description else "")


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].rstrip(".")


def _unknown(root: Node, loc: Loc) -> str:
    name, valid = str(loc[-1]), schema_lookup.fields_at(root, loc[:-1])
    if near := did_you_mean(name, valid):
        return f"unknown key{near}"
    deeper = _deeper(name, valid)
    if deeper:
        return f"unknown key here; did you mean {deeper!r}?"
    return f"unknown key; expected {any_of(valid)}"


def _deeper(name: str, valid: Mapping[str, FieldInfo]) -> str | None:
    """The place one level down where the key exists."""
    for key, field in valid.items():
        if name in schema_lookup.fields(schema_lookup.options(field.annotation, (), None)):
            return f"{key}.{name}"
    return None

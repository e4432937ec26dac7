"""`pipeline explain`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pipelines.console.tables import escape_controls, field_lines, text_width
from pipelines.recipe.explaining.examples import flow
from pipelines.recipe.explaining.lookup import Explanation, Explanations, explain

_TRAINERS = {"llamafactory": "LLaMA-Factory", "verl": "verl"}
_FULL = 2
"""Meanings that are printed in full; of more, a line each."""


def print_explanation(key: str, *, as_json: bool) -> None:
    """Print the meanings of a key.

    Raises:
        InputError: No key is called so.
    """
    found = explain(key)
    if as_json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return
    print("\n".join(escape_controls(line) for line in _render(found)))


def _render(found: Explanations) -> Iterator[str]:
    if len({(each.source, each.key) for each in found.matches}) > _FULL:
        yield f"{found.query} has {len(found.matches)} meanings:"
        yield from field_lines([(each.key, _first_sentence(each)) for each in found.matches])
        short = found.matches[0].key.removeprefix("stages.STAGE.")
        yield f"next: pipeline explain {found.matches[0].key if short == found.query else short}"
        return
    for number, each in enumerate(found.matches):
        if number:
            yield ""
        yield from _render_one(each)
    if found.others:
        yield ""
        yield from textwrap.wrap(
            f"also: {', '.join(found.others)}", text_width(), subsequent_indent="  ", break_on_hyphens=False
        )


def _first_sentence(each: Explanation) -> str:
    sentence = each.meaning.split(". ")[0].rstrip(".")
    if each.source == "recipe":
        return sentence
    whose = f"{_TRAINERS[each.source]}, {' and '.join(each.stages)} stages"
    return f"{whose}: {sentence}" if sentence else whose


def _render_one(each: Explanation) -> Iterator[str]:
    stages = f"{' and '.join(each.stages)} stages"
    if each.source != "recipe":
        where = f"{_TRAINERS[each.source]}, {stages}"
    else:
        where = f"recipe, {stages}" if each.stages else "recipe"
    yield f"{each.key}  ({where})"
    if each.meaning:
        yield from textwrap.wrap(
            each.meaning, text_width(), initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
        )
    yield from field_lines([(name, text) for name, text in _fields(each) if text], indent=2)


def _fields(each: Explanation) -> Iterator[tuple[str, str]]:
    base, null, _ = each.type.partition(" or null")
    yield "type", ", ".join(filter(None, [base, each.bounds, null.strip()])) if each.bounds else each.type
    yield "values", ", ".join(each.values)
    yield "default", _default(each)
    yield "keys", ", ".join(each.keys)
    for number, target in enumerate(each.sets):
        yield "" if number else "sets", f"{target.key} of {_TRAINERS[target.trainer]} ({target.stages} stages)"
    if each.refused:
        yield "refused", each.refused
    elif each.set_by:
        yield "set by", f"{', '.join(each.set_by)}; a value here takes precedence"
    if each.refused and each.set_by:
        yield "see", "; ".join(f"pipeline explain {key.removeprefix('stages.STAGE.')}" for key in each.set_by)
    yield "example", each.example + (f"    (in {each.example_from})" if each.example_from else "")
    yield "", each.option


def _default(each: Explanation) -> str:
    if each.required:
        return "none: the key is required"
    if each.refused or (each.source != "recipe" and each.default is None):
        return ""
    return "that of each key" if each.keys and each.default in ({}, None) and each.default is not None else flow(each.default)

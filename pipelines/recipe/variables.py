"""`${env:NAME}` and `${env:NAME:default}` in text values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.problems import Problem, RecipeError, problem_at
from pipelines.recipe.reading import read_scalar

_REFERENCE = re.compile(r"\$\$\{|\$\{env:([^}:]*)(?::([^}]*))?(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def substitute(root: Node, environment: Mapping[str, str]) -> Node:
    """Replace references by the values of environment variables.

    A value that consists of a single reference is read as YAML. `$${` is a literal `${`.

    Raises:
        RecipeError: a variable is not set, or a reference is malformed.
    """
    problems: list[Problem] = []
    changed: dict[Loc, Node] = {}
    for loc, node in sorted(root.walk(), key=lambda item: item[1].origin.order):
        if isinstance(node.value, str) and "${" in node.value:
            try:
                changed[loc] = _substitute(node, node.value, environment)
            except ValueError as error:
                problems.append(problem_at(root, loc, str(error)))
    if problems:
        raise RecipeError(problems)
    return root.replace(changed)


def _substitute(node: Node, text: str, environment: Mapping[str, str]) -> Node:
    def value_of(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default, closed = match[1], match[2], match[3]
        if not closed or not _NAME.fullmatch(name):
            raise ValueError(f"found {text!r}; a variable is written ${{env:NAME}} or ${{env:NAME:default}}")
        value = environment.get(name, default)
        if value is None:
            raise ValueError(f"the environment variable {name} is not set; set it, or write ${{env:{name}:default}}")
        return value

    whole = _REFERENCE.fullmatch(text)
    filled = _REFERENCE.sub(value_of, text)
    as_text = replace(node, value=filled, raw=filled)
    if whole is None or whole[0] == "$${":
        return as_text
    try:
        scalar = read_scalar(filled, node.origin)
    except RecipeError:
        return as_text
    # A variable holds a single value: what looks like a list, a mapping or a tag stays text.
    if scalar.mark is not None or isinstance(scalar.value, dict | list):
        return as_text
    return scalar if filled else replace(scalar, empty=whole[1])

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


class _ReferenceError(Exception):
    """An invalid reference."""


def substitute(root: Node, environment: Mapping[str, str]) -> Node:
    """Replace references by the values of environment variables.

    A value that consists of a single reference is read as YAML. `$${` is a literal `${`.

    Raises:
        RecipeError: a variable is not set, or a reference is malformed.
    """
    problems: list[tuple[tuple[int, int], Problem]] = []

    def replace_references(loc: Loc, node: Node) -> Node:
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        try:
            return _substitute(node, node.value, environment)
        except _ReferenceError as error:
            problems.append((node.origin.order, problem_at(root, loc, str(error))))
            return node

    result = root.map_scalars(replace_references)
    if problems:
        raise RecipeError(problem for _, problem in sorted(problems, key=lambda item: item[0]))
    return result


def _substitute(node: Node, text: str, environment: Mapping[str, str]) -> Node:
    def value_of(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default, closed = match[1], match[2], match[3]
        if not closed or not _NAME.fullmatch(name):
            raise _ReferenceError(f"found {text!r}; a variable is written ${{env:NAME}} or ${{env:NAME:default}}")
        if name in environment:
            return environment[name]
        if default is None:
            raise _ReferenceError(f"the environment variable {name} is not set; set it, or write ${{env:{name}:default}}")
        return default

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
    return as_text if scalar.mark is not None or isinstance(scalar.value, dict | list) else scalar

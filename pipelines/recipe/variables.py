"""`${env:NAME}` and `${env:NAME:default}` inside text values."""

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
    """What is wrong with one reference."""


def substitute(root: Node, environment: Mapping[str, str]) -> Node:
    """Puts the values of variables in; a value that is one reference and nothing else is read as YAML would read it.

    `$${` stands for `${`.

    Raises:
        RecipeError: every variable that is not set, and every reference that is not well written.
    """
    problems: list[tuple[tuple[int, int], Problem]] = []

    def visit(node: Node, loc: Loc) -> Node:
        if isinstance(node.value, dict):
            return node.with_value({key: visit(child, (*loc, key)) for key, child in node.value.items()})
        if isinstance(node.value, list):
            return node.with_value([visit(item, (*loc, index)) for index, item in enumerate(node.value)])
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        try:
            return _value(node, node.value, environment)
        except _ReferenceError as error:
            problems.append((node.origin.order, problem_at(root, loc, str(error))))
        return node

    result = visit(root, ())
    if problems:
        raise RecipeError(problem for _, problem in sorted(problems, key=lambda item: item[0]))
    return result


def _value(node: Node, text: str, environment: Mapping[str, str]) -> Node:
    def one(match: re.Match[str]) -> str:
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
    filled = _REFERENCE.sub(one, text)
    if whole is None or whole[0] == "$${":
        return replace(node, value=filled, raw=filled)
    try:
        scalar = read_scalar(filled, node.origin)
    except RecipeError:
        return replace(node, value=filled, raw=filled)
    # A variable is one value: what looks like a list, a mapping or a tag stays text.
    if scalar.mark is not None or isinstance(scalar.value, dict | list):
        return replace(node, value=filled, raw=filled)
    return scalar

"""The signatures of a program's functions and classes: prompts show them if tests call them by name."""

from __future__ import annotations

import ast
import copy
import textwrap
from collections.abc import Iterable

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def find_definitions(tree: ast.Module) -> dict[str, Definition]:
    """Return the public functions and classes of a program, by name."""
    found = (each for each in tree.body if isinstance(each, Definition))
    return {each.name: each for each in found if not each.name.startswith("_")}


def show_signatures(definitions: Iterable[Definition]) -> str:
    """Return the source of the signatures; a class is shown with those of its methods."""
    return "\n\n".join(_show(each) for each in definitions)


def show_name(function: str) -> str:
    """Return the signature of a function whose parameters are unknown."""
    return f"def {function}(...):"


def _show(node: Definition) -> str:
    bare = copy.copy(node)
    bare.body = [ast.Pass()]
    head = ast.unparse(bare).removesuffix("pass").rstrip()
    if not isinstance(node, ast.ClassDef):
        return head
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    shown = [f"{_show(each)} ..." for each in methods if each.name == "__init__" or not each.name.startswith("_")]
    return "\n".join([head, *(textwrap.indent(each, "    ") for each in shown)])

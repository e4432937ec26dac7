"""The heads of a program's functions and classes: what a prompt has to say where tests call them by name."""

from __future__ import annotations

import ast
import copy
import textwrap
from collections.abc import Collection

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def find_definitions(tree: ast.Module) -> dict[str, Definition]:
    """The functions and classes that a program defines for others, by name."""
    found = (each for each in tree.body if isinstance(each, Definition))
    return {each.name: each for each in found if not each.name.startswith("_")}


def show_heads(definitions: Collection[Definition]) -> str:
    """Their heads, as source that breaks off; of a class also its methods'."""
    return "\n\n".join(_show_head(each) for each in definitions)


def show_name(function: str) -> str:
    """The head of a function of which only the name is known."""
    return f"def {function}(...):"


def _show_head(node: Definition) -> str:
    bare = copy.copy(node)
    bare.body = [ast.Pass()]
    head = ast.unparse(bare).removesuffix("pass").rstrip()
    if not isinstance(node, ast.ClassDef):
        return head
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    shown = [f"{_show_head(each)} ..." for each in methods if each.name == "__init__" or not each.name.startswith("_")]
    return "\n".join([head, *(textwrap.indent(each, "    ") for each in shown)])

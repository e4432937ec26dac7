"""Split a Python file into its functions, each as a program that runs alone, with the calls that the file makes of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from preprocess.tracing.calls import Call, Unusable, find_calls, find_examples
from preprocess.tracing.module import Module


@dataclass(frozen=True)
class Function:
    """A function of a Python file."""

    name: str
    line: int
    statement: str
    """Its docstring up to the first example."""
    signature: str
    code: str
    """The function without its docstring, after the statements of the file that it needs."""
    calls: tuple[Call, ...]
    """Its calls, without duplicate arguments: first those in its docstring, then those of the file."""


def read_program(text: str) -> Iterator[Function | Unusable]:
    """Return the public functions that have calls, and what cannot be used."""
    try:
        yield from _read(Module(text))
    except SyntaxError as error:
        yield Unusable(error.lineno or 1, "", f"not Python: {error.msg}")
    except ValueError as error:
        yield Unusable(1, "", f"not Python: {error}")
    except (RecursionError, MemoryError):
        yield Unusable(1, "", "nested too deep")


def _read(module: Module) -> Iterator[Function | Unusable]:
    nodes = [node for node in module.functions.values() if not node.name.startswith("_")]
    top_level = list(find_calls(module))
    found = {
        node: [*find_examples(node, module), *(each for each in top_level if each.function == node.name)] for node in nodes
    }
    called = [node.name for node in nodes if any(isinstance(each, Call) for each in found[node])]
    needed = module.find_needed(called)
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield from _find_methods(node)
        elif isinstance(node, ast.AsyncFunctionDef):
            yield Unusable(node.lineno, node.name, f"{node.name} is asynchronous, and not traced")
        elif isinstance(node, ast.FunctionDef) and node in found:
            # A function without calls is not reported if it is part of another function's program.
            if found[node] or node.name not in needed:
                yield from _read_function(node, module, found[node])
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield Unusable(node.lineno, node.name, f"{node.name} is defined again on line {module.functions[node.name].lineno}")


def _read_function(node: ast.FunctionDef, module: Module, found: list[Call | Unusable]) -> Iterator[Function | Unusable]:
    name, docstring = node.name, ast.get_docstring(node)
    if docstring is not None and len(node.body) == 1:
        yield Unusable(node.lineno, name, f"{name} has nothing but a docstring")
        return
    if not found:
        yield Unusable(node.lineno, name, f"{name} has no examples: neither `>>> {name}(…)` in its docstring nor a call")
    calls: dict[str, Call] = {}
    for each in found:
        if isinstance(each, Unusable):
            yield each
        elif each.args not in calls or calls[each.args].expected is None:
            calls[each.args] = each
    if calls:
        names = {used for call in calls.values() for used in call.names}
        code = module.extract([name, *sorted(names)], _find_docstring_lines(node) if docstring is not None else range(0))
        statement = (docstring or "").partition(">>>")[0].strip()
        yield Function(name, node.lineno, statement, _read_signature(node, module), code, tuple(calls.values()))


def _find_docstring_lines(node: ast.FunctionDef) -> range:
    """Return the lines of the docstring; empty if other code shares them."""
    docstring, following = node.body[0], node.body[1]
    end = docstring.end_lineno or docstring.lineno
    is_alone = docstring.lineno > node.lineno and following.lineno > end
    return range(docstring.lineno, end + 1) if is_alone else range(0)


def _read_signature(node: ast.FunctionDef, module: Module) -> str:
    first = node.body[0]
    lines = module.lines[node.lineno - 1 : first.lineno]
    lines[-1] = lines[-1].encode()[: first.col_offset].decode()
    return "\n".join(lines).rstrip()


def _find_methods(node: ast.ClassDef) -> Iterator[Unusable]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and ">>>" in (ast.get_docstring(each) or ""):
            name = f"{node.name}.{each.name}"
            yield Unusable(each.lineno, name, f"{name} is a method, and not traced")

"""Code tried in the interpreter, as a model is to learn it: each call, and what the tool really replied."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from preprocess.errors import LeftOutError
from rewards.builtin.interpreter_tool import ARGUMENT, NAME, make_reply
from rewards.parsing.literals import NotLiteralError, read_literal
from rewards.programs.ground_truth import read_text
from rewards.sandbox import Execution, Limits, Program, get

_MOST_CALLS = 2
_LONGEST = 300
"""Characters of a call, or of a text for standard input: nobody would type more."""
_LONGEST_REPLY = 1000
_LIMITS = Limits(cpu_seconds=5.0, wall_seconds=30.0, output_bytes=10_000)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+>")


def call_interpreter(solution: str, truth: dict[str, Any]) -> tuple[str, str]:
    """The call, as LLaMA-Factory takes it, and the reply; the solution runs on its first test or two.

    Args:
        truth: the tests, as the code_tests reward reads them.

    Raises:
        LeftOutError: no test says in a line how the program is called; it does not run without a grader's imports, or at
            all; what it prints is long, or differs from run to run.
        SandboxError: programs cannot be run.
    """
    ((call, reply),) = call_in_turn([_write(solution, truth)], stateful=False)
    return call, reply


def call_in_turn(codes: Sequence[str], stateful: bool) -> list[tuple[str, str]]:
    """Calls one after the other, as LLaMA-Factory takes them, each with its reply.

    Args:
        codes: what is run.
        stateful: whether the variables live from call to call.

    Raises:
        LeftOutError: one fails, prints much, or prints what differs from run to run.
        SandboxError: programs cannot be run.
    """
    if stateful:
        executions = asyncio.run(_run_session(codes))
    else:
        executions = [get().run_blocking(Program(code), _LIMITS) for code in codes]
    return [_show(code, execution) for code, execution in zip(codes, executions, strict=True)]


async def _run_session(codes: Sequence[str]) -> list[Execution]:
    session = await get().open_session()
    try:
        return [await session.run(code, _LIMITS) for code in codes]
    finally:
        await session.close()


def _show(code: str, execution: Execution) -> tuple[str, str]:
    if execution.verdict != "ok":
        why = execution.error.strip().rpartition("\n")[2] or execution.verdict
        raise LeftOutError(f"the code fails in the interpreter: {why[:200]}")
    reply = make_reply(execution)
    if len(reply) > _LONGEST_REPLY or _ADDRESS.search(reply):
        raise LeftOutError("what the code prints in the interpreter is too long, or holds addresses")
    return json.dumps({"name": NAME, "arguments": {ARGUMENT: code}}, ensure_ascii=False), reply


def _write(solution: str, truth: dict[str, Any]) -> str:
    prelude = (truth.get("prelude") or "").strip()
    before, after = "" if prelude in solution else prelude, ""
    if "inputs" in truth and not truth.get("fn_name"):
        before = _feed(map(read_text, truth["inputs"]))
    else:
        calls = [call for call in _find_calls(truth, solution) if len(call) <= _LONGEST][:_MOST_CALLS]
        if not calls:
            raise LeftOutError("no test shows in a line how the function is called")
        after = "\n".join(f"print({call})" for call in calls)
    return "\n\n".join(part for part in (before, solution.strip(), after) if part)


def _feed(texts: Iterable[str]) -> str:
    text = next((each for each in texts if len(each) <= _LONGEST), None)
    if text is None:
        raise LeftOutError("no test's input is short enough to be typed")
    return f"import io\nimport sys\n\nsys.stdin = io.StringIO({text!r})"


def _find_calls(truth: dict[str, Any], solution: str) -> Iterator[str]:
    """Sources of calls that tests make, with literals alone."""
    if "inputs" in truth:
        function = _find_function(truth["fn_name"], solution)
        return (f"{function}({_write_arguments(given)})" for given in truth["inputs"])
    if "functional" in truth:
        tree = ast.parse(truth["functional"])
        return _find_asserted(tree, _read_names(tree))
    tree = ast.parse(truth["pytest"])
    imports = [each for each in tree.body if isinstance(each, ast.ImportFrom) and each.module == "solution"]
    return _find_asserted(tree, {name.asname or name.name: name.name for each in imports for name in each.names})


def _find_function(name: str, solution: str) -> str:
    """The function by its name, or in the class `Solution`, where graders look for it, too."""
    try:
        names = {each.name for each in ast.parse(solution).body if isinstance(each, ast.FunctionDef | ast.ClassDef)}
    except (SyntaxError, ValueError):
        return name
    return f"Solution().{name}" if "Solution" in names and name.isidentifier() and name not in names else name


def _write_arguments(given: Any) -> str:
    if isinstance(given, dict):
        return ", ".join(f"{name}={value!r}" for name, value in given.items())
    values = [json.loads(line) for line in given.split("\n")] if isinstance(given, str) else given
    return ", ".join(map(repr, values))


def _read_names(tree: ast.Module) -> dict[str, str]:
    """What the tests call the function, and what it is: they end with `check(function)`."""
    last = tree.body[-1]
    call = last.value if isinstance(last, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or not call.args:
        return {}
    name = call.func.id
    checks = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name and each.args.args]
    return {each.args.args[0].arg: ast.unparse(call.args[0]) for each in checks}


def _find_asserted(tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    asserts = sorted((each for each in ast.walk(tree) if isinstance(each, ast.Assert)), key=lambda each: each.lineno)
    for node in (each for line in asserts for each in ast.walk(line)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            try:
                for value in (*node.args, *(each.value for each in node.keywords)):
                    read_literal(ast.unparse(value))
            except NotLiteralError:
                continue
            yield f"{names[node.func.id]}{ast.unparse(node)[len(node.func.id) :]}"

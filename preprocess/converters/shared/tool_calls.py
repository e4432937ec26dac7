"""Rows of models that can call the interpreter tool: each call with the actual reply of the tool."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from preprocess.converters.base import Options
from preprocess.errors import LeftOutError
from preprocess.rows import Message, SftRow, Shape, Turn
from rewards.builtin.interpreter_tool import ARGUMENT, NAME, SCHEMA, SYSTEM, make_reply
from rewards.parsing.source_values import NotValueError, read_literal
from rewards.programs.ground_truth import read_text
from rewards.sandbox import Execution, Limits, Program, get

_MAX_CALLS = 2
_MAX_CHARS = 300
"""Of a call, or of a text for standard input: a model would not write more."""
_MAX_REPLY_CHARS = 1000
_LIMITS = Limits(cpu_seconds=5.0, wall_seconds=30.0, output_bytes=10_000)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+>")


class ToolOptions(Options, frozen=True, kw_only=True):
    """Options of rows with or without the tool."""

    tool: Literal["python_interpreter"] | None = None
    """Make rows for a model that can call this tool before it answers."""

    def runs_programs(self, shape: Shape) -> bool:
        """Return whether the rows hold replies of the tool."""
        return shape == "sft" and self.tool is not None

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools of an RL row."""
        return (NAME,) if self.tool else ()

    def add_system(self, prompt: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return the prompt with the system message of the tool, if any, which replaces another one."""
        if self.tool is None:
            return prompt
        return (Message("system", SYSTEM), *(message for message in prompt if message.role != "system"))


def make_row(problem: str, prompt: str, answer: str, calls: Iterable[tuple[str, str]] = ()) -> SftRow:
    """Return the conversation of a prompt and its answer, with calls of the tool and their replies in between."""
    turns = [Turn(*each) for call, reply in calls for each in (("function_call", call), ("observation", reply))]
    system, tools = (SYSTEM, json.dumps([SCHEMA])) if turns else (None, None)
    return SftRow(problem, (Turn("human", prompt), *turns, Turn("gpt", answer)), system, tools)


def call_interpreter(solution: str, truth: dict[str, Any]) -> tuple[str, str]:
    """Run the solution on its first test or two; return the call in LLaMA-Factory's form, and the reply.

    Raises:
        LeftOutError: no test has a short call; the code fails, for example without the imports of a grader; its output is
            long, or has memory addresses.
        SandboxError: programs cannot be run.
    """
    (result,) = call_in_turn([_write(solution, truth)], stateful=False)
    return result


def call_in_turn(codes: Sequence[str], stateful: bool) -> list[tuple[str, str]]:
    """Run pieces of code in order, `stateful` in one session; return each call in LLaMA-Factory's form with its reply.

    Raises:
        LeftOutError: a call fails, or its output is long or has memory addresses.
        SandboxError: programs cannot be run.
    """
    if stateful:
        import asyncio

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
    if len(reply) > _MAX_REPLY_CHARS or _ADDRESS.search(reply):
        raise LeftOutError("the output of the code in the interpreter is too long, or has memory addresses")
    return json.dumps({"name": NAME, "arguments": {ARGUMENT: code}}, ensure_ascii=False), reply


def _write(solution: str, truth: dict[str, Any]) -> str:
    """Return the solution with the calls, or the standard input, of its first tests."""
    prelude = (truth.get("prelude") or "").strip()
    before, after = "" if prelude in solution else prelude, ""
    if "inputs" in truth and not truth.get("fn_name"):
        text = next((each for each in map(read_text, truth["inputs"]) if len(each) <= _MAX_CHARS), None)
        if text is None:
            raise LeftOutError(f"no test has an input of at most {_MAX_CHARS} characters")
        before = f"import io\nimport sys\n\nsys.stdin = io.StringIO({text!r})"
    else:
        calls = [call for call in _find_calls(truth, solution) if len(call) <= _MAX_CHARS][:_MAX_CALLS]
        if not calls:
            raise LeftOutError(f"no test has a call with literals of at most {_MAX_CHARS} characters")
        after = "\n".join(f"print({call})" for call in calls)
    return "\n\n".join(part for part in (before, solution.strip(), after) if part)


def _find_calls(truth: dict[str, Any], solution: str) -> Iterator[str]:
    """Return the sources of the calls that tests make with literals."""
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
    """Return the expression of a function, which may be a method of the class `Solution`, as graders accept it."""
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
    """Return the name of the function in the tests, and its expression: the tests end with `check(function)`."""
    match tree.body[-1]:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=[function, *_])):
            checks = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name and each.args.args]
            return {each.args.args[0].arg: ast.unparse(function) for each in checks}
    return {}


def _find_asserted(tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    asserts = sorted((each for each in ast.walk(tree) if isinstance(each, ast.Assert)), key=lambda each: each.lineno)
    for node in (each for line in asserts for each in ast.walk(line)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            try:
                for value in (*node.args, *(each.value for each in node.keywords)):
                    read_literal(value)
            except NotValueError:
                continue
            yield f"{names[node.func.id]}{ast.unparse(node)[len(node.func.id) :]}"

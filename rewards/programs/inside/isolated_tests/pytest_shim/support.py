"""Features that test modules may use. Found in the source, so that a row with others is refused before any training."""

from __future__ import annotations

import ast
import sys

NAMES = {"approx", "fail", "fixture", "mark", "param", "raises", "skip", "MonkeyPatch", "ExceptionInfo", "FixtureRequest"}
"""Attributes of `pytest`."""
SKIPPED = {"skip", "skipif", "xfail"}
"""Marks of tests that are left out."""
MARKS = {*SKIPPED, "parametrize", "usefixtures"}
WITHOUT_EFFECT = {"timeout", "slow", "order", "unit", "integration", "filterwarnings", "dependency", "run"}
PATCHES = {"setattr", "delattr", "setitem", "delitem", "setenv", "delenv", "undo"}
FIXTURES = {"monkeypatch", "capsys", "tmp_path", "request"}
MISSING_MODULES = {"asyncio", "multiprocessing", "socket", "subprocess", "threading", "unittest"}
"""Modules that tests cannot use, because they run in a separate process from the program."""
_RUN_CODE = {"eval", "exec", "compile", "__import__"}
_RUN_MODULES = {"pickle", "marshal", "shelve", "importlib", "runpy", "code", "doctest"}
"""Functions and modules that could run text of the program in the tests' process. There, `eval` is limited instead."""
_WITH_PROGRAM = {"solution", "pytest", "__future__"}


def find_unsupported(tree: ast.Module) -> str:
    """Return what a test module uses that is not supported, or nothing."""
    tree = ast.Module([node for node in tree.body if not _is_main(node)], [])
    declared = _find_fixtures(tree) | _find_parameters(tree)
    for node in ast.walk(tree):
        found = _check(node, tree)
        if not found and isinstance(node, ast.FunctionDef) and (node.name.startswith("test") or node.name in declared):
            found = _check_parameters(node, declared)
        if found:
            return found
    return ""


def _is_main(node: ast.stmt) -> bool:
    """Check for `if __name__ == "__main__":`, which does not run."""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) and "__main__" in ast.unparse(node.test)


def list_imports(node: ast.AST) -> list[str]:
    """Return the modules that a statement imports, without `solution` and `pytest`."""
    names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    return [name for name in names if name.partition(".")[0] not in _WITH_PROGRAM]


def list_names(tree: ast.Module) -> list[str]:
    """Return the names that a module binds at its top level, without those of `from … import *`."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [(each.asname or each.name).partition(".")[0] for each in node.names]
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.For | ast.With | ast.Try):
            names += [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
    return names


def runs_code(node: ast.AST, but: tuple[str, ...] = ()) -> str:
    """Return the function or module of a node that could run text of the program, or nothing."""
    name = node.id if isinstance(node, ast.Name) else ast.unparse(node) if isinstance(node, ast.Attribute) else ""
    if name.removeprefix("builtins.") in _RUN_CODE.difference(() if "." in name else but):
        return name
    modules = (name for name in list_imports(node) if name.partition(".")[0] in _RUN_MODULES)
    return next((f"import {name}" for name in modules), "")


def _check(node: ast.AST, tree: ast.Module) -> str:
    if isinstance(node, ast.ImportFrom) and node.level:
        return "a relative import"
    if isinstance(node, ast.ImportFrom) and node.module == "pytest":
        return next((f"pytest.{each.name}" for each in node.names if each.name not in NAMES), "")
    if isinstance(node, (ast.AsyncFunctionDef, ast.Await)):
        return "an async test"
    for name in list_imports(node):
        if name.partition(".")[0] in MISSING_MODULES:
            return f"import {name}"
    if found := runs_code(node, but=("eval",)):
        return found
    if isinstance(node, ast.Assign):
        return next((found for target in node.targets if (found := _check_target(target, tree))), "")
    if not isinstance(node, ast.Attribute):
        return ""
    owner = ast.unparse(node.value) if isinstance(node.value, (ast.Name, ast.Attribute)) else ""
    allowed = {"pytest": NAMES, "pytest.mark": MARKS | WITHOUT_EFFECT, "monkeypatch": PATCHES}.get(owner)
    return "" if allowed is None or node.attr in allowed else f"{owner}.{node.attr}"


def _check_target(target: ast.expr, tree: ast.Module) -> str:
    """Find an assignment such as `sys.stdin = …`, which the program's process does not see."""
    if not (isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)):
        return ""
    imported = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names if not each.asname}
    name = f"{target.value.id}.{target.attr}"
    seen_here = name in ("sys.stdout", "sys.stderr")
    is_library = target.value.id in imported and target.value.id in sys.stdlib_module_names
    return f"an assignment to {name}" if is_library and not seen_here else ""


def _check_parameters(function: ast.FunctionDef, declared: set[str]) -> str:
    args = function.args
    names = [each.arg for each in (*args.posonlyargs, *args.args)]
    names = names[: len(names) - len(args.defaults)]
    return next((f"the fixture {name}" for name in names if name not in {*declared, *FIXTURES, "self", "cls"}), "")


def _find_parameters(tree: ast.Module) -> set[str]:
    """Return the names in decorators `parametrize("a, b", …)`."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    decorators = [each for node in ast.walk(tree) if isinstance(node, kinds) for each in node.decorator_list]
    return {text for each in decorators for text in _list_texts(each)}


def _list_texts(decorator: ast.expr) -> list[str]:
    texts = [each.value for each in ast.walk(decorator) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return [name.strip() for text in texts for name in text.split(",")]


def _find_fixtures(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        for each in node.decorator_list:
            name = ast.unparse(each.func if isinstance(each, ast.Call) else each)
            if name in ("pytest.fixture", "fixture"):
                found.add(node.name)
                keywords = each.keywords if isinstance(each, ast.Call) else []
                names = [word.value for word in keywords if word.arg == "name"]
                found |= {str(value.value) for value in names if isinstance(value, ast.Constant)}
    return found

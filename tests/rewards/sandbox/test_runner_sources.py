"""Runners of one file and of several: the sources that are sent, and how they are loaded."""

from __future__ import annotations

import sys

import pytest

from rewards.sandbox import Program, Sandbox, SandboxError
from rewards.sandbox.local.inside.runner import load
from rewards.sandbox.local.sandbox import LocalSandbox
from rewards.sandbox.runner_sources import read_runner

PACKAGE = "tests.rewards.sandbox.package_runner"


def test_module_is_sent_with_empty_parent_packages() -> None:
    sources = read_runner("tests.rewards.sandbox.echo_runner")
    assert list(sources) == ["tests.rewards.sandbox", "tests.rewards", "tests", "tests.rewards.sandbox.echo_runner"]
    assert [name for name, source in sources.items() if source] == ["tests.rewards.sandbox.echo_runner"]


def test_package_is_sent_whole() -> None:
    parts = {name.removeprefix(PACKAGE) for name, source in read_runner(PACKAGE).items() if source}
    assert parts == {"", ".work", ".numbers", ".below", ".below.words"}


@pytest.mark.parametrize("name", ["tests.no_such.runner", "tests.no_such", "no_such", "sys"])
def test_missing_runner(name: str) -> None:
    with pytest.raises(SandboxError, match=f"runner {name} not found"):
        read_runner(name)


def test_package_runs_in_every_sandbox(sandbox: Sandbox) -> None:
    for _ in range(3):
        execution = sandbox.run_blocking(Program("print(number, word, input())", stdin="in", runner=PACKAGE))
        assert (execution.verdict, execution.output) == ("ok", "7 ü in\n"), execution.error


def test_program_cannot_import_a_runner() -> None:
    sandbox = LocalSandbox(workers=1)
    code = f"import importlib\nprint(ours)\ntry: importlib.import_module('{PACKAGE}')\nexcept ImportError: print('missing')"
    for runner in (PACKAGE, "tests.rewards.sandbox.echo_runner", PACKAGE):
        execution = sandbox.run_blocking(Program(code, runner=runner))
        assert execution.verdict == "ok"
    assert execution.output == "[]\nmissing\n"
    sandbox.close()


def test_loaded_modules_cannot_be_imported() -> None:
    finders, modules = list(sys.meta_path), dict(sys.modules)
    loaded = load("mine.runner", {"mine": "", "mine.runner": "from mine.other import x", "mine.other": "x = 5"})
    assert loaded.x == 5
    assert (sys.meta_path, sys.modules) == (finders, modules)


def test_failing_runner_leaves_nothing() -> None:
    finders, modules = list(sys.meta_path), dict(sys.modules)
    with pytest.raises(ZeroDivisionError):
        load("mine.runner", {"mine": "", "mine.runner": "1 / 0"})
    assert (sys.meta_path, sys.modules) == (finders, modules)

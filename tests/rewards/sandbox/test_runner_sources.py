"""Runners of one file and of several: what is sent of them, and how it is loaded."""

from __future__ import annotations

import sys

import pytest

from rewards.sandbox import Limits, Program, Sandbox, SandboxError
from rewards.sandbox.local.inside.runner import load
from rewards.sandbox.local.sandbox import LocalSandbox
from rewards.sandbox.runner_sources import read_runner

PACKAGE = "tests.rewards.sandbox.package_runner"


def test_a_module_is_sent_with_empty_packages_above_it() -> None:
    sources = read_runner("tests.rewards.sandbox.echo_runner")
    assert list(sources) == ["tests.rewards.sandbox", "tests.rewards", "tests", "tests.rewards.sandbox.echo_runner"]
    assert [name for name, source in sources.items() if source] == ["tests.rewards.sandbox.echo_runner"]


def test_a_package_is_sent_whole() -> None:
    parts = {name.removeprefix(PACKAGE) for name, source in read_runner(PACKAGE).items() if source}
    assert parts == {"", ".work", ".numbers", ".below", ".below.words"}


@pytest.mark.parametrize("name", ["tests.no_such.runner", "tests.no_such", "no_such", "sys"])
def test_what_is_no_file_of_ours_is_told(name: str) -> None:
    with pytest.raises(SandboxError, match=f"there is no runner {name}"):
        read_runner(name)


def test_a_package_runs_in_every_sandbox(sandbox: Sandbox) -> None:
    for _ in range(3):
        execution = sandbox.run_blocking(Program("print(number, word, input())", stdin="in", runner=PACKAGE), Limits())
        assert (execution.verdict, execution.output) == ("ok", "7 ü in\n"), execution.error


def test_a_program_finds_nothing_of_a_runner() -> None:
    sandbox = LocalSandbox(workers=1)
    code = f"import importlib\nprint(ours)\ntry: importlib.import_module('{PACKAGE}')\nexcept ImportError: print('not there')"
    for runner in (PACKAGE, "tests.rewards.sandbox.echo_runner", PACKAGE):
        execution = sandbox.run_blocking(Program(code, runner=runner), Limits())
        assert execution.verdict == "ok"
    assert execution.output == "[]\nnot there\n"
    sandbox.close()


def test_what_is_loaded_cannot_be_imported() -> None:
    finders, modules = list(sys.meta_path), dict(sys.modules)
    loaded = load("mine.runner", {"mine": "", "mine.runner": "from mine.other import x", "mine.other": "x = 5"})
    assert loaded.x == 5
    assert (sys.meta_path, sys.modules) == (finders, modules)


def test_a_runner_that_fails_leaves_nothing() -> None:
    finders, modules = list(sys.meta_path), dict(sys.modules)
    with pytest.raises(ZeroDivisionError):
        load("mine.runner", {"mine": "", "mine.runner": "1 / 0"})
    assert (sys.meta_path, sys.modules) == (finders, modules)

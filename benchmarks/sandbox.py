"""Programs per second of the sandbox and of the code_tests reward, compared with what they replace.

Each problem has a right solution and a wrong one (the same with its return value changed). On one core, with one worker:

  sandbox      `sandbox.run` of the solution with its tests, isolated
  forks        a Python with the same modules loaded that forks for each program: no isolation, no limits
  python -c    a new interpreter for each program
  code_tests   the reward: expected values stay outside the program's process
  prime_code   verl's grader for code, in verl's environment

Rounds are interleaved and the best of each side counts; rates are over the right and the wrong solutions together, unless the
line names one. Then code_tests with 1, 8 and 64 concurrent programs on all cores and on one; no verdict may be wrong. A pool of
forks on each core shows what the machine's cores can do together: virtual cores may share one.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import gzip
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from benchmarks.harness import ROOT, Result, run, time_call
from pipelines.environments import detected_platform, environment
from preprocess.converters.base import Options
from preprocess.converters.programs import read_tasks
from preprocess.converters.shared.tests import to_calls
from rewards.builtin.code_tests import code_tests
from rewards.sandbox import Program, Settings, close_all, configure
from rewards.sandbox.local.sandbox import LocalSandbox

KINDS = ("right", "wrong")
_MORE = 4
"""Rounds on several cores for each on one: they are rarely left alone together."""


@dataclass(frozen=True)
class Problem:
    """A function, a right and a wrong solution, and its tests in two formats."""

    name: str
    prelude: str
    right: str
    wrong: str
    asserts: str
    truth: str
    """`inputs`, `outputs` and `fn_name`, as JSON."""

    def to_program(self, kind: str) -> str:
        """Return a solution with its tests, as one program."""
        return f"{self.prelude}\n{getattr(self, kind)}\n{self.asserts}"

    def to_prime(self) -> str:
        """Return the tests in the format of verl's grader: arguments in order, one JSON value per line."""
        truth = json.loads(self.truth)
        inputs = [list(each.values()) if isinstance(each, dict) else each for each in truth["inputs"]]
        outputs = list(map(json.dumps, truth["outputs"]))
        name = truth["fn_name"].rpartition(".")[2]
        return json.dumps(
            {"inputs": ["\n".join(map(json.dumps, each)) for each in inputs], "outputs": outputs, "fn_name": name}
        )


def make_problem(name: str, prelude: str, right: str, function: str, check: str) -> Problem | None:
    """Make a problem from the source of `check(candidate)`; None if its tests are not plain calls."""
    truth = to_calls(cast(ast.FunctionDef, ast.parse(check).body[0]).body, function, prelude)
    if truth is None:
        return None
    owner = function.replace("()", "")
    changed = "lambda *args, **kwargs: (lambda value: [value, value])(_right(*args, **kwargs))"
    wrong = f"{right}\n_right = {owner}\n{owner} = {changed}\n"
    return Problem(name, prelude, right, wrong, f"{check}\ncheck({function})\n", json.dumps(truth))


def read_leetcode(path: Path) -> Iterator[Problem | None]:
    """Yield LeetCodeDataset's problems."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            yield make_problem(row["task_id"], row["prompt"], row["completion"], row["entry_point"], row["test"])


def read_shipped() -> Iterator[Problem | None]:
    """Yield the functions that are shipped with the recipes, with their examples as tests."""
    for record in read_tasks(ROOT / "recipes" / "data" / "programs.py", Options()):
        if record.text:
            task = json.loads(record.text)
            asserts = "\n    ".join(f"assert candidate({args}) == {value}" for args, value in task["examples"])
            yield make_problem(task["name"], "", task["code"], task["name"], f"def check(candidate):\n    {asserts}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rows", nargs="?", type=Path, help="LeetCodeDataset v0.2, .jsonl.gz; default: the shipped programs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="the core of the first part")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the rates on one core, then those on all and the wrong verdicts."""
    problems = [each for each in (read_leetcode(given.rows) if given.rows else read_shipped()) if each is not None]
    if given.quick:
        problems, given.rounds = problems[:3], 1
    with on_cores({given.core}):
        yield from measure_rates(problems, given.rounds, given.quick)
    yield from measure_scaling(problems, (1, 8) if given.quick else (1, 8, 64), 1 if given.quick else _MORE * given.rounds)


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Run this process and those that it starts on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure_rates(problems: Sequence[Problem], rounds: int, quick: bool) -> Iterator[Result]:
    """Yield the rates of all sides on this process's cores."""
    configure(Settings(workers=1))
    sandbox, forks = LocalSandbox(workers=1), fork_pool()
    verl = environment("verl", detected_platform())
    missing = "--quick" if quick else verl.why_not_ready() or ""
    prime = None if missing else Helper([str(verl.python), "-c", PRIME])
    programs = {kind: [each.to_program(kind) for each in problems] for kind in KINDS}
    sides: dict[str, Callable[[str], object]] = {
        "sandbox": lambda kind: asyncio.run(sandbox.run_many([Program(code) for code in programs[kind]])),
        "forks": lambda kind: forks.judge(programs[kind]),
        "python -c": lambda kind: run_interpreters(programs[kind]),
        "code_tests": lambda kind: asyncio.run(score_all(problems, kind)),
    }
    if prime is not None:
        tasks = {kind: [[f"{each.prelude}\n{getattr(each, kind)}", each.to_prime()] for each in problems] for kind in KINDS}
        sides["prime_code"] = lambda kind: prime.judge(tasks[kind])
    # The first call of each side starts its processes.
    asyncio.run(sandbox.run_many([Program("")]))
    asyncio.run(score_all(problems[:1], "right"))
    seconds: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for name, judge in sides.items():
            for kind in KINDS:
                taken = time_call(partial(judge, kind))
                seconds[name, kind] = min(seconds.get((name, kind), taken), taken)
    sandbox.close()
    forks.close()
    close_all()

    def rate(name: str, *kinds: str) -> float:
        return len(kinds) * len(problems) / sum(seconds[name, kind] for kind in kinds)

    for other, bound in (("forks", 0.90), ("python -c", 4.0)):
        yield Result("sandbox", "programs/s", rate("sandbox", *KINDS), rate(other, *KINDS), other, at_least=bound)
    for kind, bound in (("right", 5.0), ("wrong", 15.0)):
        theirs = None if prime is None else rate("prime_code", kind)
        name = f"code_tests, {kind} solutions"
        yield Result(name, "programs/s", rate("code_tests", kind), theirs, "prime_code", at_least=bound, left_out=missing)
    if prime is not None:
        prime.close()


def measure_scaling(problems: Sequence[Problem], concurrent: Sequence[int], rounds: int) -> Iterator[Result]:
    """Yield the rates on all cores and on one, each of them in turn, and the wrong verdicts."""
    cores = sorted(os.sched_getaffinity(0))
    programs = [each.to_program(kind) for each in problems for kind in KINDS]
    pools: dict[int, Helper] = {}
    for core in cores:
        with on_cores({core}):
            pools[core] = fork_pool()
    forks = f"forks on {len(cores)} cores, a pool on each"
    sides = {f"code_tests on {len(cores)} cores, {each} concurrent": each for each in concurrent}
    rates: dict[tuple[str, bool], float] = {}
    wrong = dict.fromkeys(sides, 0)
    for number in range(rounds):
        # On one core, and right after it on all: a virtual machine's speed changes.
        for name, used in itertools.product((forks, *sides), ({cores[number % len(cores)]}, set(cores))):
            if name == forks:
                taken = time_call(partial(judge_together, [pools[core] for core in used], programs))
                rate = len(used) * len(programs) / taken
            else:
                with on_cores(used):
                    rate, mistakes = measure_verdicts(problems, sides[name])
                wrong[name] = max(wrong[name], mistakes)
            key = name, len(used) > 1
            rates[key] = max(rate, rates.get(key, 0.0))
    for pool in pools.values():
        pool.close()
    for name in (forks, *sides):
        bound = 0.925 * len(cores) if sides.get(name, 1) > 1 else None
        yield Result(name, "programs/s", rates[name, len(cores) > 1], rates[name, False], "one core", at_least=bound)
        if name != forks:
            yield Result(f"{name}: wrong verdicts", f"of {len(programs)}", wrong[name], at_most=0, is_count=True)


def measure_verdicts(problems: Sequence[Problem], concurrent: int) -> tuple[float, int]:
    """Return how many solutions per second are scored with so many at once, and the number of wrong verdicts."""
    configure(Settings())
    asyncio.run(score_all(problems[:20], "right"))  # starts the workers
    start = time.perf_counter()
    verdicts = asyncio.run(find_wrong_verdicts(problems, concurrent))
    seconds = time.perf_counter() - start
    close_all()
    return len(verdicts) / seconds, sum(verdicts)


async def find_wrong_verdicts(problems: Sequence[Problem], concurrent: int) -> list[bool]:
    """Score all solutions in a random order; return for each whether its verdict is wrong."""
    turn = asyncio.Semaphore(concurrent)
    tasks = [(each, kind) for each in problems for kind in KINDS]
    random.Random(concurrent).shuffle(tasks)

    async def is_wrong(problem: Problem, kind: str) -> bool:
        async with turn:
            return await score(problem, kind) is not (kind == "right")

    return list(await asyncio.gather(*(is_wrong(*task) for task in tasks)))


class Helper:
    """A process that judges lists of tasks, one JSON line in and one out. It imports its modules before it is measured."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )
        self.judge([])

    def judge(self, tasks: Sequence[object]) -> list[bool]:
        """Return which tasks passed."""
        self.send(tasks)
        return self.receive()

    def send(self, tasks: Sequence[object]) -> None:
        """Have tasks judged."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(tasks) + "\n")
        self._process.stdin.flush()

    def receive(self) -> list[bool]:
        """Wait for the result of the tasks that were sent."""
        assert self._process.stdout is not None
        return list(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def fork_pool() -> Helper:
    """Start a Python that forks for each program."""
    return Helper([os.path.realpath(sys.executable), "-S", "-c", FORKS])


def judge_together(pools: Sequence[Helper], tasks: Sequence[object]) -> None:
    """Have each of the pools judge all tasks, at the same time."""
    for pool in pools:
        pool.send(tasks)
    for pool in pools:
        pool.receive()


FORKS = """
import gc, importlib, json, os, sys
sys.path.insert(0, os.getcwd())
from rewards.sandbox.local.inside.template import COMMON
for name in COMMON:
    importlib.import_module(name)
gc.collect()
gc.freeze()

def fork_and_run(program):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        status = 0
        try:
            exec(compile(program, "main.py", "exec", dont_inherit=True), {"__name__": "__main__"})
        except BaseException:
            status = 1
        sys.stdout.flush()
        os._exit(status)
    os.close(writing)
    while os.read(reading, 65536):
        pass
    os.close(reading)
    return os.waitpid(pid, 0)[1] == 0

for line in sys.stdin:
    print(json.dumps([fork_and_run(each) for each in json.loads(line)]), flush=True)
"""

PRIME = """
import json, sys
answers, sys.stdout = sys.stdout, sys.stderr
from verl.utils.reward_score import prime_code
for line in sys.stdin:
    scores = [prime_code.compute_score(code, truth, continuous=True)[0] for code, truth in json.loads(line)]
    print(json.dumps([float(score) == 1.0 for score in scores]), file=answers, flush=True)
"""


def run_interpreters(programs: Sequence[str]) -> None:
    """Run each program in a new interpreter."""
    python = os.path.realpath(sys.executable)  # the one of a virtual environment starts more slowly
    for each in programs:
        subprocess.run([python, "-c", each], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def score(problem: Problem, kind: str) -> bool:
    """Return whether the reward gives full marks."""
    solution = problem.right if kind == "right" else problem.wrong
    result = await code_tests("leetcode", f"```python\n{solution}\n```", problem.truth, {})
    return bool(result["accuracy"] == 1.0)


async def score_all(problems: Sequence[Problem], kind: str) -> list[bool]:
    """Score one solution of each problem, concurrently."""
    return list(await asyncio.gather(*(score(each, kind) for each in problems)))


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)

"""Programs per second of the sandbox and of the reward on top of it, beside what they replace: all measured in one run.

    python benchmarks/sandbox.py LeetCodeDataset-v0.2.0-test.jsonl.gz [--rounds 3] [--core 0]
    python benchmarks/sandbox.py                       # the programs of recipes/data, where no such file is at hand

For each problem the right solution and a wrong one (the same, with what it returns changed), on ONE core, one worker:

1. sandbox    `sandbox.run` of the solution with its tests, isolated
2. bare       a pool that forks a Python with the same modules loaded, no isolation and no limits
3. python -c  an interpreter for each
4. code_tests the reward; expected values stay outside of the program's process
5. prime_code verl's grader for code, in verl's environment (left out where that is not built)

Rounds are interleaved and the best of each is taken. Then, on all cores, verdicts with 1, 8 and 64 at once.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import gzip
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipelines.environments import environment  # noqa: E402
from pipelines.environments.platform import detected_platform  # noqa: E402
from preprocess.converters.base import Options  # noqa: E402
from preprocess.converters.programs import FunctionTask, read_tasks  # noqa: E402
from preprocess.converters.shared.tests import to_calls  # noqa: E402
from rewards.builtin.code_tests import code_tests  # noqa: E402
from rewards.sandbox import Program, Settings, close_all, configure  # noqa: E402
from rewards.sandbox.local.sandbox import LocalSandbox  # noqa: E402

KINDS = ("right", "wrong")


@dataclass(frozen=True)
class Problem:
    """A function, a right and a wrong way to write it, and its tests in both forms."""

    name: str
    prelude: str
    right: str
    wrong: str
    asserts: str
    truth: str
    """`inputs`, `outputs` and `fn_name`, as JSON."""

    def to_program(self, solution: str) -> str:
        """The solution with its tests, to be run as it is."""
        return f"{self.prelude}\n{solution}\n{self.asserts}"

    def to_prime(self) -> str:
        """The same tests as verl's grader reads them: arguments in order, one JSON value per line."""
        truth = json.loads(self.truth)
        inputs = [list(each.values()) if isinstance(each, dict) else each for each in truth["inputs"]]
        outputs = [json.dumps(each[0]) for each in truth["outputs"]]
        name = truth["fn_name"].rpartition(".")[2]
        return json.dumps(
            {"inputs": ["\n".join(map(json.dumps, each)) for each in inputs], "outputs": outputs, "fn_name": name}
        )


def make_problem(name: str, prelude: str, right: str, function: str, check: str) -> Problem | None:
    """A problem from the source of `check(candidate)`; None where its tests are no plain calls."""
    truth = to_calls(cast(ast.FunctionDef, ast.parse(check).body[0]).body, function, prelude)
    if truth is None:
        print(f"left out, its tests are no plain calls: {name}")
        return None
    owner = function.replace("()", "")
    changed = "lambda *args, **kwargs: (lambda value: [value, value])(_right(*args, **kwargs))"
    wrong = f"{right}\n_right = {owner}\n{owner} = {changed}\n"
    return Problem(name, prelude, right, wrong, f"{check}\ncheck({function})\n", json.dumps(truth))


def read_leetcode(path: str) -> list[Problem]:
    """LeetCodeDataset's problems whose tests are plain calls; all 200 of the test split are."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    made = [make_problem(r["task_id"], r["prompt"], r["completion"], r["entry_point"], r["test"]) for r in rows]
    return [each for each in made if each]


def read_own() -> list[Problem]:
    """The programs that are shipped, with their examples as tests."""
    made = []
    for record in read_tasks(ROOT / "recipes" / "data" / "programs.py", Options()):
        task = msgspec.json.decode(record.text, type=FunctionTask)
        asserts = "\n    ".join(f"assert candidate({args}) == {expected}" for args, expected in task.examples)
        made.append(make_problem(task.name, "", task.code, task.name, f"def check(candidate):\n    {asserts}"))
    return [each for each in made if each]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", help="LeetCodeDataset v0.2, .jsonl.gz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    given = parser.parse_args()
    problems = read_leetcode(given.rows) if given.rows else read_own()
    all_cores = os.sched_getaffinity(0)
    print(f"{len(problems)} problems, a right and a wrong solution each; one core of {len(all_cores)}, best of {given.rounds}")
    os.sched_setaffinity(0, {given.core})
    configure(Settings(workers=1))
    sandbox, bare, prime = LocalSandbox(workers=1), Helper([os.path.realpath(sys.executable), "-S", "-c", BARE]), start_prime()
    programs = {kind: [each.to_program(getattr(each, kind)) for each in problems] for kind in KINDS}
    sides: dict[str, Callable[[str], list[bool]]] = {
        "sandbox": lambda kind: [
            each.verdict == "ok" for each in asyncio.run(sandbox.run_many([Program(code) for code in programs[kind]]))
        ],
        "bare": lambda kind: bare.judge(programs[kind]),
        "python -c": lambda kind: run_interpreters(programs[kind]),
        "code_tests": lambda kind: asyncio.run(score_all(problems, kind)),
    }
    if prime is not None:
        tasks = {kind: [[f"{each.prelude}\n{getattr(each, kind)}", each.to_prime()] for each in problems] for kind in KINDS}
        sides["prime_code"] = lambda kind: prime.judge(tasks[kind])
    # The first call of each starts what it needs.
    asyncio.run(sandbox.run_many([Program("")]))
    asyncio.run(score_all(problems[:1], "right"))
    rates: dict[tuple[str, str], float] = {}
    for number in range(given.rounds):
        for name, judge in sides.items():
            for kind in KINDS:
                began = time.perf_counter()
                passed = judge(kind)
                rate = len(passed) / (time.perf_counter() - began)
                rates[name, kind] = max(rates.get((name, kind), 0.0), rate)
                unlike = [problems[each].name for each, right in enumerate(passed) if right is not (kind == "right")]
                if unlike and not number:
                    print(f"  {name}: {len(unlike)} {kind} solutions are judged otherwise: {', '.join(unlike[:3])} …")
    print_rates(rates)
    sandbox.close()
    for helper in (bare, prime):
        if helper is not None:
            helper.close()
    close_all()
    os.sched_setaffinity(0, all_cores)
    configure(Settings())
    check_verdicts(problems)
    close_all()


def print_rates(rates: dict[tuple[str, str], float]) -> None:
    """The rates, and the ratios that matter."""
    for (name, kind), rate in rates.items():
        print(f"{name:<11} {kind}: {rate:7.1f} programs/s")
    for name, other, bound in (("sandbox", "bare", 0.85), ("sandbox", "python -c", 4.0)):
        both = [2 / sum(1 / rates[each, kind] for kind in ("right", "wrong")) for each in (name, other)]
        print(f"{name} / {other}, right and wrong together: {both[0] / both[1]:.2f} (bound: {bound})")
    if ("prime_code", "right") in rates:
        for kind, bound in (("right", 5), ("wrong", 15)):
            print(
                f"code_tests / prime_code, {kind}: {rates['code_tests', kind] / rates['prime_code', kind]:.1f} (bound: {bound})"
            )


def check_verdicts(problems: Sequence[Problem]) -> None:
    """Whether a busy machine turns right into wrong, or wrong into right."""

    async def judge(at_once: int) -> list[str]:
        turn = asyncio.Semaphore(at_once)
        tasks = [(each, kind) for each in problems for kind in KINDS]
        random.Random(at_once).shuffle(tasks)

        async def one(problem: Problem, kind: str) -> bool:
            async with turn:
                return await score(problem, kind) is (kind == "right")

        as_they_should = await asyncio.gather(*(one(*task) for task in tasks))
        return [kind for (_, kind), good in zip(tasks, as_they_should, strict=True) if not good]

    for at_once in (1, 8, 64):
        began = time.perf_counter()
        failed = asyncio.run(judge(at_once))
        rate = 2 * len(problems) / (time.perf_counter() - began)
        right, wrong = failed.count("right"), failed.count("wrong")
        print(f"{at_once:>3} at once, all cores: {right} right ones failed, {wrong} wrong ones passed; {rate:.0f} programs/s")


class Helper:
    """A process that judges lists of tasks: a line of JSON in, a line of JSON out. It imports before it is measured."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )
        self.judge([])

    def judge(self, tasks: Sequence[object]) -> list[bool]:
        """Which tasks passed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(tasks) + "\n")
        self._process.stdin.flush()
        return list(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()


BARE = """
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
"""The floor: a warm Python, with the modules that the sandbox's has, forks for each program; no isolation, no limits."""

PRIME = """
import json, sys
answers, sys.stdout = sys.stdout, sys.stderr
from verl.utils.reward_score import prime_code
for line in sys.stdin:
    scores = [prime_code.compute_score(code, truth, continuous=True)[0] for code, truth in json.loads(line)]
    print(json.dumps([float(score) == 1.0 for score in scores]), file=answers, flush=True)
"""


def start_prime() -> Helper | None:
    """verl's grader in verl's own environment."""
    verl = environment("verl", detected_platform())
    if verl.why_not_ready():
        print(f"prime_code is left out: {verl.why_not_ready()}")
        return None
    return Helper([str(verl.python), "-c", PRIME])


def run_interpreters(programs: Sequence[str]) -> list[bool]:
    """A fresh interpreter for each program."""
    python = os.path.realpath(sys.executable)  # a virtual environment would only start more slowly
    nothing = subprocess.DEVNULL
    return [
        subprocess.run([python, "-c", each], stdin=nothing, stdout=nothing, stderr=nothing).returncode == 0 for each in programs
    ]


async def score(problem: Problem, kind: str) -> bool:
    """Whether the reward gives full marks."""
    solution = problem.right if kind == "right" else problem.wrong
    result = await code_tests("leetcode", f"```python\n{solution}\n```", problem.truth, {})
    return result["accuracy"] == 1.0


async def score_all(problems: Sequence[Problem], kind: str) -> list[bool]:
    """The same for all, at once."""
    return list(await asyncio.gather(*(score(each, kind) for each in problems)))


if __name__ == "__main__":
    main()

"""Cheats that search for what a program before has output find it where it is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from rewards.plugins.loading import load
from rewards.programs import cheats
from rewards.programs.ground_truth import read_tests
from rewards.trial.checking import check_rows
from rewards.trial.offline import Row

CALLS = {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [3, 7]}
TEXTS = {"inputs": ["1 2", "3 4"], "outputs": ["3", "7"]}
ADD = "def add(a, b):\n    return a + b"
PRINT = "print(sum(map(int, input().split())))"

# Like a worker that forks a program from the frame in which it has packed the answer of another.
WORKER = """
import os, sys
def serve(program):
    answer = bytes([1, 0, 255, 255]) + sys.argv[1].encode()
    pid = os.fork()
    if pid == 0:
        exec(program, {})
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
serve(sys.stdin.read())
"""
REPORTS = "".join(json.dumps({"i": number, "v": value}) + "\n" for number, value in enumerate(CALLS["outputs"]))


@pytest.mark.parametrize(
    ("truth", "name", "output"),
    [
        (CALLS, "repeating the program before", REPORTS),
        (CALLS, "scanning memory for the program before", REPORTS),
        (TEXTS, "repeating the program before", "7\n"),
    ],
)
def test_an_output_that_is_left_in_the_worker_is_found(truth: dict[str, Any], name: str, output: str) -> None:
    program = cheats.write(read_tests(json.dumps(truth), 10))[name]
    done = subprocess.run([sys.executable, "-c", WORKER, output], input=program, capture_output=True, text=True)
    found = done.stdout if truth is TEXTS else "\n".join(line for line in done.stdout.splitlines() if line in output)
    assert set(output.splitlines()) <= set(found.splitlines()), done.stderr


@pytest.mark.parametrize(("truth", "solution"), [(CALLS, ADD), (TEXTS, PRINT)])
def test_a_sandbox_worker_keeps_nothing_of_the_program_before(truth: dict[str, Any], solution: str) -> None:
    row = Row(0, "row", "d", json.dumps(truth), {"detail": json.dumps({"solution": solution})})
    report = check_rows(load("code_tests"), {}, [row])
    assert report.references == 1
    assert [each.what for each in report.findings] == []

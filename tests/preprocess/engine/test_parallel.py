"""Conversion by several processes."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from preprocess.engine import parallel
from preprocess.engine.threads import count_cores
from preprocess.jobs.prepare import prepare
from preprocess.jobs.prepare_config import read_config
from tests import ROOT


def _write_rows(path: Path, count: int) -> None:
    with path.open("w") as file:
        for number in range(count):
            code = f"def f(a):\n    return a + {number // 2}"
            record = {"type": "oi", "func_str": code, "func_name": "f", "func_args": str(number), "result": "1"}
            record |= {"prompt_str": f"What? {number}" + " and so on" * 200, "question_answers": {}}  # type: ignore[dict-item]
            file.write("{not json\n" if number % 1000 == 7 else json.dumps(record) + "\n")


def _config(tmp_path: Path, name: str, count: int = 4000) -> dict[str, Any]:
    source = tmp_path / "rows.jsonl"
    if not source.exists():
        _write_rows(source, count)
    train = [{"converter": "execverify_rl", "source": str(source)}]
    return {"shape": "rl", "train": train, "validation": {"fraction": 0.1}, "output": str(tmp_path / name)}


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("shuffle", [False, True])
def test_number_of_processes_does_not_change_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shuffle: bool) -> None:
    made = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(parallel, "count_cores", lambda cores=cores: cores)
        summary = prepare(read_config(json.dumps({**_config(tmp_path, f"out{cores}"), "shuffle": shuffle})))
        made.append(_read(tmp_path / f"out{cores}"))
    assert made[0] == made[1] == made[2]
    assert (summary["records"], sum(summary["rows"].values())) == (4000, 3996)
    rejects = [json.loads(line) for line in made[0]["rejects.jsonl"].splitlines()]
    assert [reject["line"] for reject in rejects] == [8, 1008, 2008, 3008]


# Kills a process at the first progress: this one, or one of its workers. Prints the workers.
KILL = """
import os, signal, sys
from pathlib import Path
import psutil
from preprocess.jobs.prepare import prepare
from preprocess.jobs.prepare_config import read_config
from tests import ROOT

killed = []

def kill(*counts):
    if killed:
        return
    workers = psutil.Process().children()
    killed.append(sys.argv[2])
    print(*[worker.pid for worker in workers], flush=True)
    os.kill(os.getpid() if sys.argv[2] == "parent" else workers[0].pid, signal.SIGKILL)

if __name__ == "__main__":
    prepare(read_config(Path(sys.argv[1]).read_text()), kill)
"""


def _run_and_kill(tmp_path: Path, config: dict[str, Any], victim: str) -> tuple[subprocess.CompletedProcess[str], list[int]]:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "kill.py").write_text(KILL)
    argv = [sys.executable, str(tmp_path / "kill.py"), str(tmp_path / "config.json"), victim]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return done, [int(each) for each in done.stdout.splitlines()[0].split()]


def _wait_for_end(process: int) -> None:
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(process)
        if found.status() != psutil.STATUS_ZOMBIE:
            found.wait(timeout=60)


@pytest.mark.skipif(count_cores() < 2, reason="one core: no processes are started")
def test_killed_conversion_keeps_old_files_and_ends_its_workers(tmp_path: Path) -> None:
    config = _config(tmp_path, "out")
    prepare(read_config(json.dumps(config)))
    before = _read(tmp_path / "out")
    done, workers = _run_and_kill(tmp_path, config, "parent")
    assert done.returncode == -signal.SIGKILL and len(workers) >= 2
    for worker in workers:
        _wait_for_end(worker)
    kept = {name: data for name, data in _read(tmp_path / "out").items() if not name.startswith(".")}
    assert kept == before
    prepare(read_config(json.dumps(config)))
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.skipif(count_cores() < 2, reason="one core: no processes are started")
def test_killed_worker_is_a_one_line_error(tmp_path: Path) -> None:
    done, _ = _run_and_kill(tmp_path, _config(tmp_path, "out", 30_000), "worker")
    assert done.stderr.splitlines()[-1].endswith(
        "PrepareError: a process that converts rows was killed; is there too little memory?"
    )
    assert not [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]

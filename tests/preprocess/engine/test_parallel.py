"""Many processes and one give the same files; none is left, whoever is killed."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from preprocess.engine import parallel
from preprocess.errors import PrepareError
from preprocess.jobs.prepare import prepare
from preprocess.jobs.prepare_config import read_config

SCRIPT = """
import sys
from preprocess.jobs.prepare import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


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
def test_the_number_of_processes_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shuffle: bool) -> None:
    made = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(parallel, "count_cores", lambda cores=cores: cores)
        summary = prepare(read_config(json.dumps({**_config(tmp_path, f"out{cores}"), "shuffle": shuffle})))
        made.append(_read(tmp_path / f"out{cores}"))
    assert made[0] == made[1] == made[2]
    assert (summary["records"], sum(summary["rows"].values())) == (4000, 3996)
    rejects = [json.loads(line) for line in made[0]["rejects.jsonl"].splitlines()]
    assert [reject["line"] for reject in rejects] == [8, 1008, 2008, 3008]


def _start(tmp_path: Path, config: dict[str, Any]) -> subprocess.Popen[bytes]:
    script = tmp_path / "prepare.py"
    script.write_text(SCRIPT)
    (tmp_path / "config.json").write_text(json.dumps(config))
    process = subprocess.Popen([sys.executable, script, tmp_path / "config.json"], stderr=subprocess.PIPE)
    # Until its own children convert.
    while process.poll() is None and len(psutil.Process(process.pid).children()) < 2:
        time.sleep(0.01)
    return process


@pytest.mark.skipif(parallel.count_cores() < 2, reason="one core: no processes are started")
def test_a_killed_conversion_leaves_the_old_files_and_no_process(tmp_path: Path) -> None:
    config = _config(tmp_path, "out")
    prepare(read_config(json.dumps(config)))
    before = _read(tmp_path / "out")
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write((tmp_path / "rows.jsonl").read_text() * 8)
    process = _start(tmp_path, config)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    kept = {name: data for name, data in _read(tmp_path / "out").items() if not name.startswith(".")}
    assert kept == before
    prepare(read_config(json.dumps(config)))
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.skipif(parallel.count_cores() < 2, reason="one core: no processes are started")
def test_a_killed_worker_is_one_line_and_status_1(tmp_path: Path) -> None:
    process = _start(tmp_path, _config(tmp_path, "out", 30_000))
    psutil.Process(process.pid).children()[0].kill()
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.decode()) == (1, f"error: {PrepareError(KILLED)}\n")
    assert [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")] == []


KILLED = "a process that converts rows was killed; is there too little memory?"

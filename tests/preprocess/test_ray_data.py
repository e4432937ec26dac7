"""The same converters on a Ray cluster, which is started for the test and ends with it."""

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from preprocess.convert import Job, Source
from preprocess.prepare import main
from preprocess.ray_data import split_work
from preprocess.splits import Whole

ROOT = Path(__file__).resolve().parents[2]


def _write_rows(folder: Path) -> Path:
    rows = [
        {
            "type": "oi",
            "func_str": f"def f(a):\n    return a + {number // 2}",
            "func_name": "f",
            "func_args": str(number),
            "result": "1",
            "prompt_str": f"What? {number}" + " and so on" * 200,
            "question_answers": {},
        }
        for number in range(3000)
    ]
    lines = ["{not json" if number == 70 else json.dumps(row) for number, row in enumerate(rows)]
    folder.mkdir()
    (folder / "a.jsonl").write_text("\n".join(lines))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(lines[:50]).encode()))
    (folder / "c.json").write_text(json.dumps(rows[-50:]))
    return folder


def test_what_lies_in_files_is_divided_and_what_does_not_is_not(tmp_path: Path) -> None:
    folder = _write_rows(tmp_path / "rows")
    program = tmp_path / "programs.py"
    program.write_text("def f(a):\n    '''F.\n\n    >>> f(1)\n    1\n    '''\n    return a\n")
    sources = [Source("execverify_rl", folder), Source("execverify_rl", folder, limit=5), Source("programs_code", program)]
    units = list(split_work([Job(source, "rl", Whole("train")) for source in sources]))
    shape = [(unit.job, unit.chunk is not None, unit.file.name if unit.file else None) for unit in units]
    divided = [each for each in shape if each == (0, True, None)]
    assert len(divided) > 1
    assert shape[len(divided) :] == [(0, False, "b.jsonl.gz"), (0, False, "c.json"), (1, False, None), (2, False, None)]


def _run_on_ray(trainer_python: Callable[[str], Path], address: str, config: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(trainer_python("verl")), "-m", "preprocess.on_ray", address, str(config)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment)


def _write_config(tmp_path: Path, name: str, **changes: Any) -> Path:
    config = {
        "shape": "rl",
        "train": [{"converter": "execverify_rl", "source": str(tmp_path / "rows")}],
        "validation": {"fraction": 0.1},
        "output": str(tmp_path / name),
        **changes,
    }
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.smoke
def test_a_cluster_writes_the_same_files(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    _write_rows(tmp_path / "rows")
    assert main([str(_write_config(tmp_path, "here"))]) == 0
    there = _run_on_ray(trainer_python, "local", _write_config(tmp_path, "there"))
    assert (there.returncode, there.stderr) == (0, "")
    assert "3,100 records" in there.stdout or "3100 records" in there.stdout
    made = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("here", "there")]
    assert made[0] == made[1]


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("address", "message"),
    [("127.0.0.1:9", "no Ray cluster at 127.0.0.1:9: [Errno 111] Connection refused"), ("nowhere", "expected host:port")],
)
def test_a_cluster_that_is_not_there_is_one_line(
    tmp_path: Path, trainer_python: Callable[[str], Path], address: str, message: str
) -> None:
    done = _run_on_ray(trainer_python, address, _write_config(tmp_path, "there"))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.smoke
def test_a_mistake_is_said_as_it_is_here(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    source = {"converter": "execverify_rl", "source": str(tmp_path / "nowhere.jsonl")}
    done = _run_on_ray(trainer_python, "local", _write_config(tmp_path, "there", train=[source]))
    assert (done.returncode, done.stderr) == (2, f"error: source {tmp_path / 'nowhere.jsonl'} is not there\n")

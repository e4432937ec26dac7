"""Conversion on a local Ray cluster."""

import gzip
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from preprocess.engine.job import Job, Source
from preprocess.engine.splits import Whole
from preprocess.errors import PrepareError, SourceError
from preprocess.jobs.prepare import prepare
from preprocess.jobs.prepare_config import PrepareConfig, read_config
from preprocess.ray.chunks import split_work
from preprocess.ray.cluster import Cluster
from tests import ROOT

PROGRAMS = ROOT / "recipes" / "data" / "programs.py"


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


def test_only_plain_files_are_divided(tmp_path: Path) -> None:
    folder = _write_rows(tmp_path / "rows")
    program = tmp_path / "programs.py"
    program.write_text("def f(a):\n    '''F.\n\n    >>> f(1)\n    1\n    '''\n    return a\n")
    sources = [Source("execverify_rl", folder), Source("execverify_rl", folder, limit=5), Source("programs_code", program)]
    units = list(split_work([Job(source, "rl", Whole("train")) for source in sources]))
    shape = [(unit.job, unit.chunk is not None, unit.file.name if unit.file else None) for unit in units]
    divided = [each for each in shape if each == (0, True, None)]
    assert len(divided) > 1
    assert shape[len(divided) :] == [(0, False, "b.jsonl.gz"), (0, False, "c.json"), (1, False, None), (2, False, None)]


def _config(tmp_path: Path, name: str, **changes: Any) -> PrepareConfig:
    given = {
        "shape": "rl",
        "train": [{"converter": "execverify_rl", "source": str(tmp_path / "rows")}],
        "validation": {"fraction": 0.1},
        "output": str(tmp_path / name),
        **changes,
    }
    return read_config(json.dumps(given))


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.nightly
@pytest.mark.parametrize("shuffle", [False, True])
def test_cluster_writes_the_same_files(tmp_path: Path, trainer_python: Callable[[str], Path], shuffle: bool) -> None:
    _write_rows(tmp_path / "rows")
    cluster = Cluster("local", trainer_python("verl"))
    # Paths of Ray's sockets must be short.
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", scratch)
        _compare(tmp_path, cluster, shuffle)
        assert not list(Path(scratch).iterdir())
    assert not [number for number in psutil.pids() if scratch in _read_command(number)]


def _compare(tmp_path: Path, cluster: Cluster, shuffle: bool) -> None:
    prepare(_config(tmp_path, "here", shuffle=shuffle))
    summary = prepare(_config(tmp_path, "there", shuffle=shuffle), convert=cluster.convert)
    assert summary["records"] == 3100
    assert _read(tmp_path / "here") == _read(tmp_path / "there")


def _read_command(number: int) -> str:
    with suppress(psutil.Error):  # the process has ended
        return " ".join(psutil.Process(number).cmdline())
    return ""


@pytest.mark.nightly
def test_cluster_traces_programs(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    train = [{"converter": "programs_execution", "source": str(PROGRAMS)}]
    prepare(_config(tmp_path, "here", train=train))
    prepare(_config(tmp_path, "there", train=train), convert=Cluster("local", trainer_python("verl")).convert)
    assert _read(tmp_path / "here") == _read(tmp_path / "there")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", r"^no Ray cluster at 127.0.0.1:9: \[Errno 111\] Connection refused$"),
        ("nowhere", "^no Ray cluster at nowhere: expected host:port, `auto` or `local`$"),
    ],
)
def test_missing_cluster_is_a_one_line_error(
    tmp_path: Path, trainer_python: Callable[[str], Path], address: str, message: str
) -> None:
    _write_rows(tmp_path / "rows")
    with pytest.raises(SourceError, match=message):
        prepare(_config(tmp_path, "there"), convert=Cluster(address, trainer_python("verl")).convert)
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.nightly
def test_mistake_has_the_same_message_on_a_cluster(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    train = [{"converter": "execverify_rl", "source": str(tmp_path / "nowhere.jsonl")}]
    with pytest.raises(SourceError, match=r"^source .*nowhere.jsonl does not exist$"):
        prepare(_config(tmp_path, "there", train=train), convert=Cluster("local", trainer_python("verl")).convert)


def test_python_without_ray_is_a_one_line_error(tmp_path: Path) -> None:
    _write_rows(tmp_path / "rows")
    with pytest.raises(PrepareError, match=r"^Ray: ModuleNotFoundError: No module named 'ray'$"):
        prepare(_config(tmp_path, "there"), convert=Cluster("local", Path(sys.executable)).convert)


def test_files_that_are_not_read_are_tasks_of_their_own(tmp_path: Path) -> None:
    folder = _write_rows(tmp_path / "rows")
    (folder / "d.csv").write_text("a,b")
    first = next(split_work([Job(Source("execverify_rl", folder), "rl", Whole("train"))]))
    assert first.chunk is not None and first.chunk.path.name == "d.csv"

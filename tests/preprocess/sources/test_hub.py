"""Hub names, and downloads from the cache of `datasets`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from preprocess.errors import PrepareError, SourceError
from preprocess.jobs.prepare import main
from preprocess.sources.hub import Fetcher, HubName, parse, read_hub_name

CACHE = """
import sys, pathlib, datasets
for split in ("train", "test"):
    pathlib.Path("owner/name").mkdir(parents=True, exist_ok=True)
    rows = datasets.Dataset.from_list([{"instruction": f"{split} {n}", "output": str(n)} for n in range(3)])
    rows.to_json(f"owner/name/{split}.jsonl")
datasets.load_dataset("owner/name")
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]) -> tuple[Path, Path]:
    """A Python with `datasets`, and a cache with the data set owner/name."""
    folder, python = tmp_path_factory.mktemp("hub"), trainer_python("llamafactory")
    environment = {**os.environ, "HF_HOME": str(folder / "hf")}
    subprocess.run([python, "-c", CACHE], cwd=folder, check=True, capture_output=True, env=environment)
    (folder / "hf" / "datasets" / "name").rename(folder / "hf" / "datasets" / "owner___name")
    return python, folder / "hf"


@pytest.fixture
def fetcher(cache: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    """A fetcher with that cache and no network, in an empty folder."""
    python, home = cache
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return Fetcher(python, tmp_path / "fetched")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("PRIME-RL/Eurus-2-RL-Data", HubName("PRIME-RL/Eurus-2-RL-Data")),
        ("openai/gsm8k:main@train[:100]", HubName("openai/gsm8k", "main", "train[:100]")),
        ("owner/name@test", HubName("owner/name", None, "test")),
        ("rows.jsonl", None),
        ("a/b/c", None),
        ("/a/b", None),
        ("../a", None),
    ],
)
def test_parse_hub_names(text: str, name: HubName | None) -> None:
    assert parse(text) == name
    assert name is None or str(name) == text


def test_existing_or_misspelled_files_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert read_hub_name(Path("data/rows")) is None
    assert read_hub_name(Path("nowhere/rows.jsonl.gz")) is None
    assert read_hub_name(Path("owner/name")) == HubName("owner/name")


@pytest.mark.nightly
def test_fetch_a_split(fetcher: Fetcher) -> None:
    assert [path.name for path in fetcher.fetch(HubName("owner/name", "default", "train")).iterdir()] == ["train.parquet"]
    every = fetcher.fetch(HubName("owner/name"), every_split=True)
    assert sorted(path.name for path in every.iterdir()) == ["test.parquet", "train.parquet"]


@pytest.mark.nightly
def test_fetch_errors_are_one_line(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^owner/name: it has the splits train, test; choose one: owner/name@train$"):
        fetcher.fetch(HubName("owner/name"))
    with pytest.raises(SourceError, match=r"^owner/name@tran: Unknown split \"tran\"\. Should be one of .*$"):
        fetcher.fetch(HubName("owner/name", None, "tran"))
    with pytest.raises(PrepareError, match=r"^owner/other: HF_HUB_OFFLINE is set, and it is not cached$"):
        fetcher.fetch(HubName("owner/other"))
    with pytest.raises(PrepareError, match=r"^owner/name: cannot run .*none: No such file or directory$"):
        Fetcher(tmp_path / "none", tmp_path).fetch(HubName("owner/name"))
    with pytest.raises(PrepareError, match=r"^owner/name: .*No module named 'datasets'"):
        Fetcher(Path(sys.executable), tmp_path / "fetched").fetch(HubName("owner/name"))


@pytest.mark.nightly
def test_prepare_from_a_hub_name(fetcher: Fetcher, tmp_path: Path) -> None:
    sources = [{"converter": "alpaca", "source": "owner/name"}]
    hub = {"python": str(fetcher.python), "folder": "cache"}
    config = {"shape": "sft", "train": sources, "validation": "own", "output": str(tmp_path / "out"), "hub": hub}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main([str(tmp_path / "config.json")]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["rows"] == {"train": 3, "validation": 3}


@pytest.mark.nightly
def test_convert_command_fetches(
    fetcher: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_LLAMAFACTORY_PYTHON", str(fetcher.python))
    monkeypatch.setattr(sys, "argv", ["pipeline", "data", "convert", "alpaca", "owner/name@test", "-o", "rows.parquet"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert (exited.value.code or 0, capfd.readouterr().err.splitlines()[-2]) == (0, "3 records -> 3 sft rows in rows.parquet")
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["rows.parquet", "rows.rejects.jsonl"]


@pytest.mark.nightly
def test_the_revision_is_in_the_summary(fetcher: Fetcher, cache: tuple[Path, Path], tmp_path: Path) -> None:
    """The cache of a data set of the hub has its commit as a folder."""
    (version,) = (cache[1] / "datasets" / "owner___name").glob("*/*")
    (built,) = (each for each in version.iterdir() if each.is_dir())
    commit = "0123456789" * 4
    built.rename(version / commit)
    try:
        fetcher.fetch(HubName("owner/name", None, "train"))
    finally:
        (version / commit).rename(built)
    assert fetcher.revisions == {"owner/name": commit}

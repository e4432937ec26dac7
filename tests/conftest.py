"""Shared by all tests: golden files, the trainers' environments, and the tiers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.environments import TRAINERS, TrainerName, environment
from pipelines.environments.builds import sync
from rewards import sandbox
from tests import ROOT
from tests.tokenizers.packages import UnavailableError, make_model_folder

# A shell's background jobs ignore SIGINT, and so would the processes that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests start `pipeline` and Python a thousand times; without bytecode each compiles this project first.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files instead of comparing")
    parser.addoption("--shard", metavar="K/N", help="run the K-th of N parts of the selected tests")


def pytest_xdist_auto_num_workers() -> int:
    """Return one more than the cores: a real trainer often waits for one of its processes to start."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(trylast=True)  # after -m and -k
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start the longest tests first; keep the tests of one shard."""
    items.sort(
        key=lambda item: (not item.nodeid.startswith("tests/real/"), not _is_long(item), not item.get_closest_marker("slow"))
    )
    if shard := config.getoption("--shard"):
        number, count = map(int, shard.split("/"))
        mine = set(sorted({_group(item) for item in items})[number - 1 :: count])
        config.hook.pytest_deselected(items=[item for item in items if _group(item) not in mine])
        items[:] = [item for item in items if _group(item) in mine]


def _is_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("real", "nightly"))


def _group(item: pytest.Item) -> str:
    """Return the part of a test that is not split over shards: its file, or the test if it is marked independent."""
    return item.nodeid if item.get_closest_marker("independent") else item.nodeid.partition("::")[0]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a golden file; `pytest --update-golden` writes it. Review the diff before committing."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden file {name}; write it with pytest --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True)
def _default_sandbox() -> Iterator[None]:
    """Undo the sandbox settings of a test."""
    yield
    sandbox.configure(sandbox.Settings())


@pytest.fixture(scope="session")
def trainer_python() -> Callable[[TrainerName], Path]:
    """Return a function that gives the Python of a trainer's cpu environment, which is built if it is missing."""

    def find(trainer: TrainerName) -> Path:
        found = environment(trainer, "cpu")
        if found.pinned and not found.is_ready():
            sync(trainer, "cpu")
        return found.python

    return find


@pytest.fixture(scope="session")
def real_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a model folder with a published tokenizer; the test is skipped if it is not available."""
    made: dict[str, Path | UnavailableError] = {}

    def find(name: str) -> Path:
        if name not in made:
            try:
                made[name] = make_model_folder(name, tmp_path_factory.mktemp("models") / name)
            except UnavailableError as error:
                made[name] = error
        model = made[name]
        if isinstance(model, UnavailableError):
            pytest.skip(str(model))
        return model

    return find


@pytest.fixture(scope="session")
def environments(trainer_python: Callable[[TrainerName], Path]) -> None:
    """Build the cpu environments of all trainers."""
    for trainer in TRAINERS:
        trainer_python(trainer)

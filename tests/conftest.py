"""What all tests share: golden files, and the trainers' environments where they are built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rewards import sandbox

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with a golden file; `pytest --update-golden` writes it instead. Read the diff before committing."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden file {name}; make it with pytest --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True)
def _usual_sandbox() -> Iterator[None]:
    """What a command chose for its process does not reach the next test."""
    yield
    sandbox.configure(sandbox.Settings())


@pytest.fixture(scope="session")
def trainer_python() -> Callable[[str], Path]:
    """The Python of a trainer's cpu environment, which is built when it is missing."""

    def find(trainer: str) -> Path:
        from pipelines.environments import environment, sync

        found = environment(trainer, "cpu")  # type: ignore[arg-type]
        if found.pinned and not found.is_ready():
            sync(trainer, "cpu")  # type: ignore[arg-type]
        return found.python

    return find

"""A stand-in for W&B's client: its server is a folder, which can be made to refuse or to hang."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_FOLDER = Path(os.environ["STAND_IN_FOLDER"])


def init(*, id: str, name: str, **settings: Any) -> Run:  # noqa: A002
    _obey()
    print("wandb: noise on standard output, key", os.environ.get("WANDB_API_KEY"))
    print("wandb: noise on standard error, key", os.environ.get("WANDB_API_KEY"), file=sys.stderr)
    return Run(id, name)


class Run:
    def __init__(self, identity: str, name: str) -> None:
        self.id = identity
        self.summary = self
        self.url = f"https://wandb.example/{identity}"
        self._file = _FOLDER / f"{name.replace('/', '-')}-{identity}.jsonl"
        self._lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        steps = [value for line in self._lines if isinstance(value := json.loads(line), int)]
        self.starting_step = max(steps, default=-1) + 1

    def log(self, row: dict[str, float], *, step: int) -> None:
        self._write(step)

    def update(self, figures: dict[str, float]) -> None:
        self._write("figures")

    def __setitem__(self, key: str, value: Any) -> None:
        self._write(key)

    def log_artifact(self, artifact: Any) -> None:
        self._write("artifact")

    def finish(self, *, exit_code: int) -> None:
        self._write("finish")

    def _write(self, value: object) -> None:
        _obey()
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")


def teardown() -> None:
    pass


class Settings:
    def __init__(self, **settings: Any) -> None:
        pass


class Artifact:
    def __init__(self, name: str, **settings: Any) -> None:
        pass

    def add_reference(self, uri: str, **settings: Any) -> None:
        pass


class Table(Settings):
    pass


def _obey() -> None:
    if (_FOLDER / "hangs").exists():
        time.sleep(3600)
    if (_FOLDER / "refuses").exists():
        raise ConnectionError("https://user:secret@wandb.example does not answer")

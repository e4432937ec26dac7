"""Files of rows, and tiny models with a tokenizer trained on them, for tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preprocess.columns import pack
from preprocess.engine.writing import RowsFile
from preprocess.rows import Row, Shape
from tests import ROOT

QUESTION: dict[str, Any] = {
    "type": "oi",
    "func_str": "def f(a):\n    return a",
    "func_name": "f",
    "func_args": "1",
    "result": "1",
    "prompt_str": "Q",
    "question_answers": {},
}
"""A record of execverify_rl."""


def write_rows(path: Path, rows: Sequence[Row], shape: Shape) -> None:
    """Write training rows to a parquet file."""
    file = RowsFile(path, shape, "train")
    file.write(pack(rows, [""] * len(rows), shape))
    file.keep()


def make_tiny_model(python: Path, rows: Path) -> Path:
    """Make a tiny model with a trainer's Python in the folder `model` next to a file of rows; return the folder."""
    folder = rows.with_name("model")
    settings = {"make": "qwen2", "vocabulary": 700, "hidden_size": 64, "layers": 1, "heads": 2, "max_tokens": 1024, "seed": 1}
    rows.with_name("model.json").write_text(json.dumps(settings | {"rows": [str(rows)], "output": str(folder)}))
    argv = [str(python), "-m", "pipelines.models.tiny", str(rows.with_name("model.json"))]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder

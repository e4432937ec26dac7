"""Tiny models with published tokenizers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests import ROOT

_SIZES = {"make": "qwen2", "vocabulary": 1024, "hidden_size": 64, "layers": 1, "heads": 1, "max_tokens": 4096, "seed": 17}

# One process for all: importing torch takes longest.
_PROGRAM = """
import sys
from pipelines.models.tiny import main
sys.exit(max(main([config]) for config in sys.argv[1:]))
"""


def make_tiny_models(python: Path, likes: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Make tiny models with published tokenizers, as the smoke of a recipe does.

    Args:
        python: A trainer's.
        likes: Name -> the model folder with the tokenizer.
        folder: Is created.

    Returns:
        Name -> model folder.
    """
    configs = []
    for name, like in likes.items():
        (folder / name).mkdir(parents=True)
        configs.append(folder / name / "config.json")
        config = {**_SIZES, "like": str(like), "rows": [], "output": str(folder / name / "model")}
        configs[-1].write_text(json.dumps(config))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    argv: list[str | Path] = [python, "-c", _PROGRAM, *configs]
    done = subprocess.run(argv, cwd=ROOT, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(json.loads((folder / name / "notes.json").read_text())[0].startswith("architecture") for name in likes)
    return {name: folder / name / "model" for name in likes}

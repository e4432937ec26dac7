"""Counting the tokens of prompts with a trainer's Python."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.environments import Environment
from pipelines.environments.ask import AskError, call
from pipelines.errors import StepError
from preprocess.rows import Shape


def count_tokens(files: Sequence[Path], shape: Shape, tokenizer: str, environment: Environment) -> dict[Path, dict[str, Any]]:
    """Return the prompt lengths of each file, as `preprocess.prompts.lengths` summarises them.

    Raises:
        StepError: a prompt does not render, or the tokenizer does not load.
    """
    model = str(Path(tokenizer).absolute()) if Path(tokenizer).exists() else tokenizer
    with tempfile.TemporaryDirectory() as folder:
        config, output = Path(folder, "prompts.json"), Path(folder, "lengths.json")
        named = {str(path): str(path.absolute()) for path in files}
        stage = {"name": "rows", "shape": shape, "model": model, "files": named, "output": str(output)}
        config.write_text(json.dumps({"stages": [stage]}), encoding="utf-8")
        variables = {"HF_HUB_DISABLE_TELEMETRY": "1", **environment.variables}
        try:
            call(environment.python, ["-m", "preprocess.prompts.lengths", str(config)], variables=variables)
        except AskError as error:
            reason = str(error).removeprefix("error: ")
            raise StepError(f"the rows were written, but their tokens were not counted: {reason}") from None
        found: dict[str, dict[str, Any]] = json.loads(output.read_text(encoding="utf-8"))["files"]
    return {path: found[str(path)] for path in files}

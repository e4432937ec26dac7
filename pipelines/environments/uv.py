"""The package client: uv, told what pip has been configured with.

People and companies configure pip (an index, a folder of wheels, a certificate); uv reads none of that, so it is
handed on.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelines.errors import StepError

_SECTIONS = {"global": 0, "install": 1, "download": 1, ":env:": 2}
"""Where pip's configuration says something that holds for an installation; the later one wins."""


def uv() -> str:
    """The path of uv, which comes with this project's own dependencies.

    Raises:
        StepError: it is not installed.
    """
    with suppress(ImportError, FileNotFoundError):
        from uv import find_uv_bin

        return find_uv_bin()
    found = shutil.which("uv")
    if found is None:
        raise StepError("uv is not installed beside this project; install it with `pip install uv`")
    return found


def pip_settings() -> dict[str, str]:
    """pip's settings, `find-links` -> its value, from pip's files and from its variables."""
    argv = [sys.executable, "-m", "pip", "config", "list"]
    with suppress(OSError, subprocess.TimeoutExpired):
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        if answer.returncode == 0:
            return parse_settings(answer.stdout)
    # Without a pip its variables still count.
    prefix = "PIP_"
    return {k.removeprefix(prefix).lower().replace("_", "-"): v for k, v in os.environ.items() if k.startswith(prefix)}


def parse_settings(listing: str) -> dict[str, str]:
    """Reads the output of `pip config list`: lines of `section.key='value'`."""
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        name, equals, quoted = line.partition("=")
        section, _, key = name.rpartition(".")
        rank = _SECTIONS.get(section)
        if not equals or rank is None:
            continue
        try:
            value = str(ast.literal_eval(quoted))
        except (SyntaxError, ValueError):
            value = quoted
        if key not in found or rank >= found[key][0]:
            found[key] = (rank, value)
    return {key: value for key, (_, value) in found.items()}


def uv_variables(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell uv what pip is configured with. What is said to uv itself wins.

    Local folders that do not exist are left out: pip passes over them, uv stops at them.
    """
    said: dict[str, str] = {
        # Nobody's Python is replaced or fetched behind their back.
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
    }
    if links := find_links(settings):
        said["UV_FIND_LINKS"] = ",".join(links)
    if index := settings.get("index-url"):
        said["UV_DEFAULT_INDEX"] = index
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        said["UV_NO_INDEX"] = "1"
    if certificate := settings.get("cert"):
        said["SSL_CERT_FILE"] = certificate
    if hosts := settings.get("trusted-host", "").split():
        said["UV_INSECURE_HOST"] = " ".join(hosts)
    if proxy := settings.get("proxy"):
        said["HTTP_PROXY"] = said["HTTPS_PROXY"] = proxy
    if seconds := settings.get("timeout", settings.get("default-timeout", "")):
        said["UV_HTTP_TIMEOUT"] = seconds
    if settings.get("keyring-provider") == "subprocess":
        said["UV_KEYRING_PROVIDER"] = "subprocess"
    return {key: value for key, value in said.items() if key not in environ}


def index_choices(settings: Mapping[str, str], environ: Mapping[str, str]) -> list[dict[str, str]]:
    """In which indexes to look, as variables on top of `uv_variables`: the first choice that has everything is the one.

    pip merges the files of all its indexes. uv does not: for one version it takes one index, even where that index
    lacks the file for this Python. So the extra indexes come after the main one, and also alone, for when the main one
    is out of reach.
    The locks' hashes say which file it has to be, so no index can slip in another one.
    """
    more = _existing(settings.get("extra-index-url", ""))
    if not more or "UV_INDEX" in environ or "UV_DEFAULT_INDEX" in environ:
        return [{}]
    together = {"UV_INDEX": " ".join(more), "UV_INDEX_STRATEGY": "unsafe-best-match"}
    return [{}, together, {**together, "UV_INDEX": " ".join(more[1:]), "UV_DEFAULT_INDEX": more[0]}]


def find_links(settings: Mapping[str, str]) -> list[str]:
    """The places, folders or pages, in which pip looks for files beside the index."""
    return _existing(settings.get("find-links", ""))


def has_file(settings: Mapping[str, str], environ: Mapping[str, str], name: str, version: str, python: tuple[int, int]) -> bool:
    """Whether a folder that pip or uv is configured with holds a wheel of this version for this Python and machine."""
    folders = find_links(settings) + environ.get("UV_FIND_LINKS", "").split(",")
    tag = f"cp{python[0]}{python[1]}"
    pattern = re.compile(rf"{re.escape(name)}-{re.escape(version)}-{tag}-{tag}-.*x86_64\.whl", re.IGNORECASE)
    for folder in filter(None, (_local(f) for f in folders if f)):
        with suppress(OSError):
            if any(pattern.fullmatch(unquote(entry.name)) for entry in folder.iterdir()):
                return True
    return False


def _existing(value: str) -> list[str]:
    kept = []
    for place in value.split():
        folder = _local(place)
        if folder is None or folder.exists():
            kept.append(place)
    return kept


def _local(place: str) -> Path | None:
    """The folder that a place names, None for a page on a server."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(place).expanduser()

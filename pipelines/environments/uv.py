"""uv with pip's configuration.

Users and companies configure pip (an index, a folder of wheels, a certificate); uv reads none of that.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelines.environments.ask import AskError, call
from pipelines.errors import StepError

_SECTIONS = ("global", "install", "download", ":env:")
"""The sections of pip's configuration that apply to installing; later ones take precedence."""

_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "HTTPS_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
"""pip's setting -> uv's variable."""

_PIP_VARIABLES = {"UV_DEFAULT_INDEX": "PIP_INDEX_URL", "UV_INDEX": "PIP_EXTRA_INDEX_URL", "UV_FIND_LINKS": "PIP_FIND_LINKS"}


def read_pip_settings() -> dict[str, str]:
    """Return pip's settings (`find-links` -> its value) from its configuration files and variables."""
    try:
        return parse_settings(call(sys.executable, ["-m", "pip", "config", "list"], timeout=60))
    except AskError as error:
        raise StepError(f"pip's settings cannot be read: {error}") from None


def parse_settings(listing: str) -> dict[str, str]:
    """Parse the output of `pip config list`, lines of `section.key='value'`."""
    lines = re.findall(r"(?m)^(.+?)\.([^.=]+)=('.*'|\".*\")$", listing)
    return {key: str(ast.literal_eval(value)) for wanted in _SECTIONS for section, key, value in lines if section == wanted}


def uv_variables(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that pass pip's settings to uv. Variables that are set already take precedence.

    Local folders that do not exist are left out: pip ignores them, uv fails.
    """
    found = {variable: " ".join(settings[key].split()) for key, variable in _VARIABLES.items() if settings.get(key)}
    if "HTTPS_PROXY" in found:
        found["HTTP_PROXY"] = found["HTTPS_PROXY"]
    if links := _existing(settings.get("find-links", "")):
        found["UV_FIND_LINKS"] = ",".join(links)
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        found["UV_NO_INDEX"] = "1"
    if settings.get("keyring-provider") == "subprocess":
        found["UV_KEYRING_PROVIDER"] = "subprocess"
    # uv must not download Pythons that the user did not ask for.
    found |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    return {key: value for key, value in found.items() if key not in environ}


def pip_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that pass the user's settings for uv to pip."""
    return {pip: environ[name].replace(",", " ") for name, pip in _PIP_VARIABLES.items() if name in environ}


def index_choices(settings: Mapping[str, str], environ: Mapping[str, str]) -> list[dict[str, str]]:
    """Return which indexes to try, as variables on top of `uv_variables`; the first choice that has every file is used.

    pip merges the files of all its indexes. uv takes one index for a version, even if that index lacks the file for this
    Python. So the extra indexes are tried after the main one, and also alone, for when the main one is out of reach.
    The locks' hashes determine the file, so no index can substitute another one.
    """
    more = _existing(settings.get("extra-index-url", ""))
    if not more or "UV_INDEX" in environ or "UV_DEFAULT_INDEX" in environ:
        return [{}]
    together = {"UV_INDEX": " ".join(more), "UV_INDEX_STRATEGY": "unsafe-best-match"}
    return [{}, together, {**together, "UV_INDEX": " ".join(more[1:]), "UV_DEFAULT_INDEX": more[0]}]


def has_wheel(settings: Mapping[str, str], environ: Mapping[str, str], name: str, version: str, python: str) -> bool:
    """Return whether a folder of pip's or uv's find-links has a wheel for this version, Python (`3.11`) and machine."""
    places = _existing(settings.get("find-links", "")) + environ.get("UV_FIND_LINKS", "").split(",")
    tag = f"cp{python.replace('.', '')}"
    pattern = re.compile(rf"{re.escape(name)}-{re.escape(version)}-{tag}-{tag}-.*x86_64\.whl", re.IGNORECASE)
    for folder in filter(None, (_local(place) for place in places if place)):
        with suppress(OSError):
            if any(pattern.fullmatch(unquote(entry.name)) for entry in folder.iterdir()):
                return True
    return False


def _existing(value: str) -> list[str]:
    return [place for place in value.split() if (folder := _local(place)) is None or folder.exists()]


def _local(place: str) -> Path | None:
    """Return the folder that a place names; None for the page of a server."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(place).expanduser()

"""What must be on this machine before a run with trackers starts: packages, servers and credentials."""

from __future__ import annotations

import netrc
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.recipe.loading import Loaded
from pipelines.recipe.tracking import Tracker, list_trackers

_OFFLINE = ("offline", "disabled", "dryrun", "local")
"""Modes, in the trackers' own variables, that need no credentials."""

_WANDB = "https://api.wandb.ai"
_SECONDS = 3.0


def find_problems(loaded: Loaded) -> list[str]:
    """Return what would keep the trackers of a recipe from starting, one line each: missing packages and credentials."""
    problems = []
    for index, tracker in enumerate(list_trackers(loaded.recipe.trackers)):
        if problem := _find_problem(tracker):
            problems.append(f"{loaded.where('trackers', index)}: trackers[{index}]: {problem}")
    return problems


def find_unreachable(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Yield each tracker whose server does not answer, and what was found. A run starts without it, and sends later."""
    import httpx

    for tracker in list_trackers(loaded.recipe.trackers):
        url = tracker.url or (os.environ.get("MLFLOW_TRACKING_URI") if tracker.name == "mlflow" else None)
        if url is None or urlsplit(url).scheme not in ("http", "https"):
            continue
        try:
            httpx.head(url, timeout=_SECONDS)
        except httpx.HTTPError as error:
            shown = urlsplit(url)
            place = f"{shown.scheme}://{shown.hostname}{f':{shown.port}' if shown.port else ''}"
            yield tracker.name, f"{place} does not answer: {error or type(error).__name__}; a run starts, and sends later"


def _find_problem(tracker: Tracker) -> str | None:
    name = tracker.name
    if find_spec(name) is None:
        return f"{name} is not installed; install it with: pip install 'code-post-training[{name}]'"
    if name == "mlflow" and not (tracker.url or os.environ.get("MLFLOW_TRACKING_URI")):
        return "mlflow has no server; set `url` to its tracking URI, or MLFLOW_TRACKING_URI"
    if name == "wandb" and not (_is_offline(tracker) or _has_wandb_key(tracker.url)):
        return (
            f"not logged in to W&B ({_wandb_host(tracker.url)}); run `wandb login`, set WANDB_API_KEY, or set `offline: true` "
            "and send the files later with `wandb sync`"
        )
    if name == "swanlab" and not (_is_offline(tracker) or _has_swanlab_key()):
        return (
            "not logged in to SwanLab; run `swanlab login`, set SWANLAB_API_KEY, or set `offline: true` and send the files "
            "later with `swanlab sync`"
        )
    return None


def _is_offline(tracker: Tracker) -> bool:
    return tracker.offline or os.environ.get(f"{tracker.name.upper()}_MODE") in _OFFLINE


def _wandb_host(url: str | None) -> str:
    return urlsplit(url or os.environ.get("WANDB_BASE_URL") or _WANDB).netloc


def _has_wandb_key(url: str | None) -> bool:
    """Return whether wandb finds credentials (wandb/sdk/lib/wbauth): a variable, or the file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    given = os.environ.get("NETRC")
    files = [Path(given)] if given else [Path.home() / ".netrc", Path.home() / "_netrc"]
    return any(_is_in_netrc(file, _wandb_host(url)) for file in files)


def _has_swanlab_key() -> bool:
    """Return whether swanlab finds credentials: a variable, or the file that `swanlab login` writes."""
    folder = Path(os.environ.get("SWANLAB_SAVE_DIR") or Path.home() / ".swanlab")
    return bool(os.environ.get("SWANLAB_API_KEY")) or (folder / ".netrc").is_file()


def _is_in_netrc(file: Path, host: str) -> bool:
    try:
        return netrc.netrc(file).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False

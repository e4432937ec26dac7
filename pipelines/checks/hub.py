"""Check whether the models and data sets of a recipe are in the hub's cache or can be downloaded."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from pipelines.checks.findings import Finding
from pipelines.models.folder import hub_endpoint, hub_home, is_cached, is_hub_offline
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from preprocess.sources.hub import parse

_SECONDS = 6.0
_REASONS = {
    401: "it does not exist, or needs a login (HF_TOKEN)",
    403: "access to it has not been granted",
    404: "it does not exist (404)",
}

_Wanted = tuple[str, str, str | None]
"""`models` or `datasets`, a hub name, and its revision."""


class Hub:
    """Requests for all names, made at once in the background."""

    def __init__(self, recipe: Recipe, stages: Sequence[SftStage | RlStage] | None = None) -> None:
        self._names = list(dict.fromkeys(_names(recipe, recipe.stages if stages is None else stages)))
        self._problems: dict[_Wanted, str] = {}
        self._started = time.monotonic()
        self._threads: list[threading.Thread] = []
        for name in [] if is_hub_offline() else self._names:
            if not _is_cached(*name):
                # A thread that waits for a name server cannot be stopped; a daemon thread does not delay the exit.
                thread = threading.Thread(target=self._request, args=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    def findings(self) -> Iterator[Finding]:
        """Return a finding per model and data set with a hub name; wait at most 6 s for the answers."""
        for thread in self._threads:
            thread.join(max(0.0, self._started + _SECONDS - time.monotonic()))
        for kind, name, revision in self._names:
            what = f"{'model' if kind == 'models' else 'data'} {name}{f' at {revision}' if revision else ''}"
            if _is_cached(kind, name, revision):
                yield Finding("machine", what, "in the hub's cache")
            elif is_hub_offline():
                yield Finding("machine", what, "not in the hub's cache, and HF_HUB_OFFLINE is set", "wrong")
            elif problem := self._problems.get((kind, name, revision), f"no answer after {_SECONDS:.0f} s"):
                yield Finding("machine", what, f"not in the hub's cache, and {hub_endpoint()}: {problem}", "wrong")
            else:
                yield Finding("machine", what, "will be downloaded from the hub")

    def _request(self, kind: str, name: str, revision: str | None) -> None:
        """Store why the name cannot be downloaded; an empty text if it can."""
        token = os.environ.get("HF_TOKEN", "")
        with suppress(OSError):
            token = token or (hub_home() / "token").read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # The listing of a gated repository is public, its files are not.
        file = "config.json" if kind == "models" else ".gitattributes"
        path = f"{'' if kind == 'models' else 'datasets/'}{quote(name)}/resolve/{quote(revision or 'main', safe='')}/{file}"
        try:
            with urlopen(Request(f"{hub_endpoint()}/{path}", headers=headers, method="HEAD"), timeout=_SECONDS):
                problem = ""
        except HTTPError as error:
            problem = _REASONS.get(error.code, f"status {error.code}")
        except (OSError, ValueError) as error:
            problem = f"it cannot be reached: {getattr(error, 'reason', None) or error}"
        self._problems[kind, name, revision] = problem


def _is_cached(kind: str, name: str, revision: str | None) -> bool:
    # The cache of `datasets` does not tell which branch or tag a commit belongs to.
    return is_cached(kind, name, revision) and (kind == "models" or revision is None)


def _names(recipe: Recipe, stages: Sequence[SftStage | RlStage]) -> Iterator[_Wanted]:
    """Yield each model and data set with a hub name."""
    for stage in stages:
        model = recipe.base_model(stage)
        if recipe.previous(stage) is None and isinstance(model, str) and not Path(model).is_absolute():
            yield "models", model, recipe.base_revision(stage)
    for stage in stages:
        against = stage.data.decontaminate.against if stage.data.decontaminate else []
        sources = [(each.source, each.revision) for each in stage.sources]
        for source, revision in [*sources, *((each.source, each.revision) for each in against)]:
            if not Path(source).is_absolute() and (found := parse(source)):
                yield "datasets", found.name, revision

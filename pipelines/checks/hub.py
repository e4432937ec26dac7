"""Whether what a recipe takes from the hub is here already, or can be had."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from pipelines.checks.findings import Finding
from pipelines.models.folder import hub_endpoint, hub_home, is_cached, is_hub_offline
from pipelines.recipe.schema import Recipe
from pipelines.run.plan import all_sources
from preprocess.sources.hub import parse

_SECONDS = 6.0


class Hub:
    """Asks the hub about every name at once; `findings` waits for the answers, and never for long."""

    def __init__(self, recipe: Recipe) -> None:
        self._names = list(dict.fromkeys([*_models(recipe), *_data_sets(recipe)]))
        self._answers: dict[tuple[str, str], str] = {}
        self._began = time.monotonic()
        self._threads: list[threading.Thread] = []
        if is_hub_offline():
            return
        for name in self._names:
            if not is_cached(*name):
                # A thread that waits for a name server cannot be ended; a daemon does not hold the command up.
                thread = threading.Thread(target=self._ask, args=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    def findings(self) -> Iterator[Finding]:
        """A line for each model and data set that is a hub name."""
        for thread in self._threads:
            thread.join(max(0.0, self._began + _SECONDS - time.monotonic()))
        for kind, name in self._names:
            what = f"{'model' if kind == 'models' else 'data'} {name}"
            if is_cached(kind, name):
                yield Finding("machine", what, "in the hub's cache")
            elif is_hub_offline():
                yield Finding("machine", what, "not in the hub's cache, and HF_HUB_OFFLINE is set", "wrong")
            else:
                said = self._answers.get((kind, name), f"no answer after {_SECONDS:.0f} s")
                good = not said
                text = "will be fetched from the hub" if good else f"not in the hub's cache, and {hub_endpoint()}: {said}"
                yield Finding("machine", what, text, "ok" if good else "wrong")

    def _ask(self, kind: str, name: str) -> None:
        """What stands in the way of fetching it; empty for nothing."""
        token = os.environ.get("HF_TOKEN") or _read(hub_home() / "token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # The listing of the files that are open to all is so, too, for what has to be asked for; a file's head is not.
        file = "config.json" if kind == "models" else ".gitattributes"
        path = f"{'' if kind == 'models' else 'datasets/'}{quote(name)}/resolve/main/{file}"
        try:
            with urlopen(Request(f"{hub_endpoint()}/{path}", headers=headers, method="HEAD"), timeout=_SECONDS):
                said = ""
        except HTTPError as error:
            reasons = {401: "it does not exist, or not without a login (HF_TOKEN)", 403: "access to it has not been granted"}
            said = reasons.get(error.code, f"it does not exist ({error.code})" if error.code == 404 else f"status {error.code}")
        except (OSError, ValueError) as error:
            said = f"it cannot be reached: {getattr(error, 'reason', None) or error}"
        self._answers[kind, name] = said


def _models(recipe: Recipe) -> Iterator[tuple[str, str]]:
    stages = [stage.name for stage in recipe.stages]
    first = recipe.model if recipe.stages[0].init_from is None else None
    for model in (first, *(stage.init_from for stage in recipe.stages)):
        if isinstance(model, str) and model not in stages and not Path(model).is_absolute():
            yield "models", model


def _data_sets(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for stage in recipe.stages:
        against = stage.data.decontaminate.against if stage.data.decontaminate else []
        for source in (*(each.source for each in all_sources(stage.data)), *(each.source for each in against)):
            if not Path(source).is_absolute() and (found := parse(source)):
                yield "datasets", found.name


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""

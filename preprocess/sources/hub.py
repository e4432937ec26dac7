"""Sources with names on the HuggingFace hub: `owner/name`, optionally with `:subset` and `@split`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from preprocess.errors import PrepareError, SourceError
from preprocess.sources.reading import KINDS

_NAME = re.compile(r"(?P<name>\w[\w.-]*/[\w.-]+)(:(?P<subset>[\w.-]+))?(@(?P<split>[\w.\[\]:%+-]+))?", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """A data set, or a part of it."""

    name: str
    subset: str | None = None
    """The configuration, in the terms of `datasets`."""
    split: str | None = None
    """As `datasets` accepts it: `train`, `train[:1000]`."""

    def __str__(self) -> str:
        return self.name + (f":{self.subset}" if self.subset else "") + (f"@{self.split}" if self.split else "")


@dataclass(frozen=True)
class Fetcher:
    """Downloads data sets."""

    python: Path
    """A Python that has `datasets`: a trainer's."""
    folder: Path
    """The folder of the downloaded files."""
    fetched: set[Path] = field(default_factory=set)
    """Folders that are downloaded already."""
    revisions: dict[str, str] = field(default_factory=dict)
    """Data set -> the commit of the hub that was downloaded, as far as it is known."""

    def fetch(self, source: HubName, every_split: bool = False, revision: str | None = None) -> Path:
        """Download a data set, unless it is cached, as one parquet file per split; return their folder.

        Args:
            source: The data set.
            revision: A branch, tag or commit; default: main.
            every_split: Download all splits; if not, and there are several, the name must contain one.

        Raises:
            SourceError: The data set, subset or split does not exist.
            PrepareError: The hub cannot be reached, or `datasets` is missing.
        """
        folder = self.folder / (f"{source}+{quote(revision, safe='')}" if revision else str(source))
        if folder in self.fetched:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        split = source.split or ("*" if every_split else "")
        # -P: do not import from the script's folder.
        script = Path(__file__).with_name("hub_download.py")
        argv = [str(self.python), "-P", str(script), source.name, source.subset or "", split, str(folder), revision or ""]
        # Progress goes to the terminal, or without bars to the log.
        quiet = {} if sys.stderr.isatty() else {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        try:
            child = subprocess.run(argv, stdout=subprocess.PIPE, encoding="utf-8", check=False, env={**os.environ, **quiet})
            result = json.loads(child.stdout.splitlines()[-1])
        except OSError as error:
            raise PrepareError(f"{source}: cannot run {self.python}: {error.strerror}") from None
        except (IndexError, ValueError):
            raise PrepareError(f"{source}: the download failed: {self.python} ended with {child.returncode}") from None
        if "error" in result:
            kind = SourceError if result["mistake"] else PrepareError
            raise kind(f"{source}: {result['error']}")
        self.fetched.add(folder)
        if result.get("revision"):
            self.revisions[source.name] = result["revision"]
        return folder


def parse(text: str) -> HubName | None:
    """Return the hub name that a text has the form of; None if it has another form or a file's ending."""
    found = None if text.endswith((*KINDS, ".py")) else _NAME.fullmatch(text)
    return HubName(found["name"], found["subset"], found["split"]) if found else None


def read_hub_name(source: Path) -> HubName | None:
    """Return a source's hub name; None for a path.

    A source is a path if it exists, does not have the form `owner/name`, or is in an existing folder (a misspelled file).
    """
    return None if source.exists() or source.parent.is_dir() else parse(str(source))

"""Sources that are names on the HuggingFace hub: `owner/name`, with `:subset` and `@split` where they are needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from preprocess.errors import PrepareError, SourceError
from preprocess.sources.reading import KINDS

_NAME = re.compile(r"(?P<name>\w[\w.-]*/[\w.-]+)(:(?P<subset>[\w.-]+))?(@(?P<split>[\w.\[\]:%+-]+))?", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """A data set, and which part of it."""

    name: str
    subset: str | None = None
    """What `datasets` calls its configuration."""
    split: str | None = None
    """As `datasets` takes it: `train`, `train[:1000]`."""

    def __str__(self) -> str:
        return self.name + (f":{self.subset}" if self.subset else "") + (f"@{self.split}" if self.split else "")


@dataclass(frozen=True)
class Fetcher:
    """What can fetch."""

    python: Path
    """A Python that has `datasets`: a trainer's."""
    folder: Path
    """Where the files lie while they are read."""
    fetched: set[Path] = field(default_factory=set)
    """What need not be fetched again."""

    def fetch(self, source: HubName, every_split: bool = False) -> Path:
        """Fetches what is not here yet, and writes it as one parquet file for each split; returns their folder.

        Args:
            every_split: whether all splits are wanted; if not, and several are there, one has to be named.

        Raises:
            SourceError: there is no such data set, subset or split.
            PrepareError: the hub cannot be reached, or there is no `datasets`.
        """
        folder = self.folder / str(source)
        if folder in self.fetched:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        split = source.split or ("*" if every_split else "")
        # -P: of this folder it is to import nothing.
        argv = [
            str(self.python),
            "-P",
            str(Path(__file__).with_name("hub_download.py")),
            source.name,
            source.subset or "",
            split,
        ]
        # What it says of its progress is for the person, or the log, where bars are no use.
        quiet = {} if sys.stderr.isatty() else {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        try:
            child = subprocess.run(
                [*argv, str(folder)], stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, **quiet}
            )
            said = json.loads(child.stdout.splitlines()[-1])
        except OSError as error:
            raise PrepareError(f"{source}: {self.python} does not run: {error.strerror}") from None
        except (IndexError, ValueError):
            raise PrepareError(f"{source}: it could not be fetched: {self.python} ended with {child.returncode}") from None
        if "error" in said:
            kind = SourceError if said["mistake"] else PrepareError
            raise kind(f"{source}: {said['error']}")
        self.fetched.add(folder)
        return folder


def parse(text: str) -> HubName | None:
    """The name that a text is, if it has the form of one; one that ends like a file is a file that is not there."""
    found = None if text.endswith((*KINDS, ".py")) else _NAME.fullmatch(text)
    return HubName(found["name"], found["subset"], found["split"]) if found else None


def read_hub_name(source: Path) -> HubName | None:
    """The name that a source is; None for a path.

    A path is what is there, what is no `owner/name`, and what lies in a folder that is there: that is a file's name misspelt.
    """
    return None if source.exists() or source.parent.is_dir() else parse(str(source))

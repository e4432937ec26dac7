"""The converters, by name: one file per kind of source, imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from preprocess.converters.base import Converter
from preprocess.errors import SourceError
from rewards.suggestions import suggestion

# Name -> module and the converter in it.
_PLACES = {
    "alpaca": "alpaca.ALPACA",
    "apps": "apps.APPS",
    "bootcamp": "bootcamp.BOOTCAMP",
    "cruxeval": "cruxeval.CRUXEVAL",
    "eurus": "eurus.EURUS",
    "execverify_rl": "execverify.RL",
    "execverify_sft": "execverify.SFT",
    "gsm8k": "gsm8k.GSM8K",
    "humaneval": "humaneval.HUMANEVAL",
    "kodcode": "kodcode.KODCODE",
    "leetcode": "leetcode.LEETCODE",
    "mbpp": "mbpp.MBPP",
    "programs_code": "programs.CODE",
    "programs_execution": "programs.EXECUTION",
    "sharegpt": "sharegpt.SHAREGPT",
}


class _Converters(Mapping[str, Converter[Any, Any]]):
    """Name -> converter. A process that converts needs one of them, not all."""

    def __getitem__(self, name: str) -> Converter[Any, Any]:
        module, _, attribute = _PLACES[name].partition(".")
        converter: Converter[Any, Any] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        return converter

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


CONVERTERS: Mapping[str, Converter[Any, Any]] = _Converters()


def find(name: str, file: Path | None = None) -> Converter[Any, Any]:
    """The converter called `name`: of a file of the user's where one is given, else of those that come with this project.

    Raises:
        SourceError: there is none (names the nearest), or the file does not load.
    """
    if file is not None:
        from preprocess.converters.plugins import load_file

        own = load_file(file)
        if name not in own:
            raise SourceError(f"{file} registers no converter called {name!r}{suggestion(name, own)}")
        return own[name]
    if name not in CONVERTERS:
        raise SourceError(f"no converter is called {name!r}{suggestion(name, CONVERTERS)}")
    return CONVERTERS[name]

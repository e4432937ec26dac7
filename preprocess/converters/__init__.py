"""Converters: one file per kind of source, which turns its records into SFT and RL rows.

Other rooms use `find` and `CONVERTERS` (here), `Converter`, `Options` (base), `parse_options`, `explain_options` (options),
`load_file`, `converter` (plugins), `read_calls`, `ask_execution`, `FunctionCall` (programs) and the names that `shared` lists.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from preprocess.converters.base import Converter
from preprocess.errors import SourceError
from rewards.suggestions import suggestion

# Name -> module and the converter in it.
_MODULES = {
    "alpaca": "alpaca.ALPACA",
    "apps": "apps.APPS",
    "bootcamp": "bootcamp.BOOTCAMP",
    "cruxeval": "cruxeval.CRUXEVAL",
    "eurus": "eurus.EURUS",
    "evalplus": "evalplus.EVALPLUS",
    "execverify_rl": "execverify.RL",
    "execverify_sft": "execverify.SFT",
    "gsm8k": "gsm8k.GSM8K",
    "humaneval": "humaneval.HUMANEVAL",
    "kodcode": "kodcode.KODCODE",
    "leetcode": "leetcode.LEETCODE",
    "livecodebench": "livecodebench.LIVECODEBENCH",
    "livecodebench_exec": "livecodebench.EXECUTION",
    "mbpp": "mbpp.MBPP",
    "programs_code": "programs.CODE",
    "programs_execution": "programs.EXECUTION",
    "rejection_sampled": "rejection_sampled.REJECTION_SAMPLED",
    "reval": "reval.REVAL",
    "sharegpt": "sharegpt.SHAREGPT",
    "verl_rows": "verl_rows.VERL_ROWS",
}


class _Converters(Mapping[str, Converter[Any, Any]]):
    """Name -> converter, imported on first use: a process that converts needs only one of them."""

    def __getitem__(self, name: str) -> Converter[Any, Any]:
        module, _, attribute = _MODULES[name].partition(".")
        converter: Converter[Any, Any] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        return converter

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


CONVERTERS: Mapping[str, Converter[Any, Any]] = _Converters()


def find(name: str, file: Path | None = None) -> Converter[Any, Any]:
    """Return the converter `name` of a Python file of the user, or without a file, of this project.

    Raises:
        SourceError: it does not exist (suggests the nearest), or the file does not load.
    """
    if file is not None:
        from preprocess.converters.plugins import load_file

        custom = load_file(file)
        if name not in custom:
            raise SourceError(f"{file} registers no converter called {name!r}{suggestion(name, custom)}")
        return custom[name]
    if name not in CONVERTERS:
        raise SourceError(f"no converter is called {name!r}{suggestion(name, CONVERTERS)}")
    return CONVERTERS[name]

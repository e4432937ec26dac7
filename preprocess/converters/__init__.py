"""The converters, by name: one file per kind of source."""

from __future__ import annotations

from typing import Any

from preprocess.converters import cruxeval, eurus, execverify, leetcode, programs
from preprocess.converters.base import Converter, nearest
from preprocess.errors import SourceError

CONVERTERS: dict[str, Converter[Any]] = {
    each.name: each
    for each in (
        cruxeval.CRUXEVAL,
        eurus.EURUS,
        execverify.SFT,
        execverify.RL,
        leetcode.LEETCODE,
        programs.CODE,
        programs.EXECUTION,
    )
}


def find(name: str) -> Converter[Any]:
    """The converter called `name`.

    Raises:
        SourceError: there is none; names the nearest.
    """
    if name not in CONVERTERS:
        raise SourceError(f"no converter is called {name!r}{nearest(name, CONVERTERS)}")
    return CONVERTERS[name]

"""Which sandbox this process uses: set once from the recipe, opened on first use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rewards.sandbox.background import Sandbox


@dataclass(frozen=True)
class Settings:
    """The recipe's `sandbox:`."""

    url: str | None = None
    """URL of a SandboxFusion service. Default: the local sandbox."""
    isolation: Literal["strong", "weak"] = "strong"
    """`weak` lets the local sandbox run where the kernel offers no sound isolation."""
    workers: int | None = None
    """Programs that run at once. Default: `count_programs`; 32 on a SandboxFusion service."""
    imports: tuple[str, ...] = ()
    """Packages that programs can import besides the standard library; imported once, when the sandbox starts."""


_lock = threading.Lock()
_settings = Settings()
_open: dict[tuple[int, int, Settings], Sandbox] = {}
"""Keyed by process id too: a forked process cannot use its parent's sandbox."""
_single: ContextVar[int] = ContextVar("number of the sandbox with a single worker", default=0)


def read_settings(given: Mapping[str, Any], processes: int) -> Settings:
    """Return the settings of the recipe's `sandbox:` for one of `processes` processes, which share the cores."""
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    # A service has cores of its own.
    return settings if settings.workers or settings.url else replace(settings, workers=count_programs(processes))


def count_programs(processes: int = 1) -> int:
    """Return how many programs one of `processes` processes, which share the cores, runs at once in the local sandbox.

    One more than its cores, if these are several: none waits while this process takes a result and sends the next program.
    """
    cores = max(1, len(os.sched_getaffinity(0)) // max(1, processes))
    return cores + (cores > 1)


def configure(settings: Settings) -> None:
    """Set the settings for later calls of `get`."""
    global _settings  # noqa: PLW0603 (one choice for the whole process)
    _settings = settings


def get(imports: tuple[str, ...] = ()) -> Sandbox:
    """Return the configured sandbox, opened on first use.

    Args:
        imports: packages that programs can import in addition to those of the settings.

    Raises:
        SandboxError: the sandbox is not available.
    """
    chosen = replace(_settings, imports=tuple(dict.fromkeys((*_settings.imports, *imports)))) if imports else _settings
    single = _single.get()
    if single:
        chosen = replace(chosen, workers=1)
    key = (os.getpid(), single, chosen)
    with _lock:
        if key not in _open:
            _open[key] = _make(chosen)
        return _open[key]


@contextmanager
def single_worker(number: int) -> Iterator[None]:
    """Use a separate sandbox with one worker within this block, so that programs run directly after one another in it.

    Args:
        number: which sandbox, from 1: concurrent blocks need different ones.
    """
    token = _single.set(number)
    try:
        yield
    finally:
        _single.reset(token)


def close_all() -> None:
    """Close every sandbox that this process opened."""
    with _lock:
        for sandbox in _open.values():
            sandbox.close()
        _open.clear()


def _make(settings: Settings) -> Sandbox:
    if settings.url is not None:
        from rewards.sandbox.fusion.sandbox import FusionSandbox

        return FusionSandbox(settings.url, concurrency=settings.workers or 32)
    from rewards.sandbox.local.sandbox import LocalSandbox

    return LocalSandbox(workers=settings.workers or count_programs(), isolation=settings.isolation, imports=settings.imports)

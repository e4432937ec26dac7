"""Which sandbox this process uses: set once from the recipe, opened when first needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rewards.sandbox.base import Sandbox

Isolation = Literal["strong", "weak"]


@dataclass(frozen=True)
class Settings:
    """The recipe's `sandbox:`."""

    url: str | None = None
    """A SandboxFusion service; the local sandbox if not said."""
    isolation: Isolation = "strong"
    """`weak` lets the local sandbox run where the kernel offers less than a sound minimum."""
    workers: int | None = None
    """Programs that run at once; this process's share of the cores if not said."""
    imports: tuple[str, ...] = ()
    """Packages that programs see, beside the standard library; imported once, when the sandbox starts."""


def read_settings(given: Mapping[str, Any], processes: int) -> Settings:
    """The recipe's `sandbox:` for one of so many processes of this machine: each has its share of the cores."""
    share = max(1, len(os.sched_getaffinity(0)) // max(1, processes))
    chosen = {name: value for name, value in given.items() if value is not None}
    return Settings(**{"workers": share, **chosen})


_lock = threading.Lock()
_settings = Settings()
_open: dict[tuple[int, Settings], Sandbox] = {}
"""By the process that opened it, too: a forked one cannot use its parent's."""


def configure(settings: Settings) -> None:
    """What `get` gives from now on."""
    global _settings  # noqa: PLW0603 (one choice for the whole process)
    _settings = settings


def get(imports: tuple[str, ...] = ()) -> Sandbox:
    """The sandbox that the settings choose, opened once; one with more packages where `imports` asks for them.

    Raises:
        SandboxError: it cannot be had.
    """
    chosen = _settings if not imports else _with(_settings, imports)
    key = (os.getpid(), chosen)
    with _lock:
        if key not in _open:
            _open[key] = _make(chosen)
        return _open[key]


def close_all() -> None:
    """Ends every sandbox that this process opened."""
    with _lock:
        for (process, _), sandbox in _open.items():
            if process == os.getpid():
                sandbox.close()
        _open.clear()


def _with(settings: Settings, imports: tuple[str, ...]) -> Settings:
    return replace(settings, imports=tuple(dict.fromkeys((*settings.imports, *imports))))


def _make(settings: Settings) -> Sandbox:
    if settings.url is not None:
        from rewards.sandbox.fusion.sandbox import FusionSandbox

        return FusionSandbox(settings.url, concurrency=settings.workers or 32)
    from rewards.sandbox.local.sandbox import LocalSandbox

    return LocalSandbox(workers=settings.workers, isolation=settings.isolation, imports=settings.imports)

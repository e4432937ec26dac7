"""Rewards of one's own: a file that the recipe names, or an installed package's entry point.

A file is imported once in each process (see `user_files.py`).
"""

from __future__ import annotations

import importlib.metadata
import threading
from pathlib import Path

from rewards.errors import MissingModuleError, RewardError
from rewards.plugins.python_files import MissingPackageError, UserFileError, describe, forget, import_file
from rewards.registry import Reward, collect, register

GROUP = "code_post_training.rewards"
"""The entry-point group: a name -> a module that registers rewards, or a function that becomes the reward of that name."""

_lock = threading.RLock()
_files: dict[Path, dict[str, Reward] | RewardError] = {}
_packages: tuple[str, ...] | None = None


def load_file(path: Path) -> dict[str, Reward]:
    """The rewards that a plugin file registers, by name.

    Raises:
        MissingModuleError: it imports a package that is not installed here.
        RewardError: it is not there, does not import, or registers nothing. One line, with file and line.
    """
    path = path.expanduser().absolute()
    with _lock:
        if path not in _files:
            try:
                _files[path] = _import(path)
            except RewardError as error:
                _files[path] = error
        found = _files[path]
    if isinstance(found, RewardError):
        raise type(found)(str(found))  # an error that is raised again and again would gather tracebacks
    return found


def load_packages() -> tuple[str, ...]:
    """Registers what installed packages bring, once; a line for each entry point that does not load."""
    global _packages  # noqa: PLW0603 (done once for the process)
    with _lock:
        if _packages is None:
            points = importlib.metadata.entry_points(group=GROUP)
            _packages = tuple(line for point in points if (line := _load_point(point)))
        return _packages


def _load_point(point: importlib.metadata.EntryPoint) -> str | None:
    package = f"package {point.dist.name} {point.dist.version}" if point.dist else "package unknown"
    mine: dict[str, Reward] = {}
    try:
        with collect(package, mine):
            loaded = point.load()
            if callable(loaded) and not any(each.function is loaded for each in mine.values()):
                register(point.name)(loaded)
        if not mine:
            raise RewardError("it registers no reward")
        with collect(package):
            for reward in mine.values():
                register(reward.name, reference=reward.reference, cheats=reward.cheats)(reward.function)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"{package}: reward {point.name} = {point.value} does not load: {_one_line(error)}"
    return None


def _import(path: Path) -> dict[str, Reward]:
    found: dict[str, Reward] = {}
    try:
        with collect(f"file {path}", found):
            module = import_file(path, "reward", RewardError)
    except MissingPackageError as error:
        raise MissingModuleError(str(error)) from None
    except UserFileError as error:
        raise RewardError(str(error)) from None
    if not found:
        forget(module)
        raise RewardError(f'{path} registers no reward; put @register("name") before its function')
    return found


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) if isinstance(error, RewardError) else describe(error)

"""Rewards of one's own: a file that the recipe names, or an installed package's entry point.

A file is imported once in each process, from its absolute path, under a module name that no other module has. Its folder
is on `sys.path` only while it is imported: what lies beside it is imported at its top, not inside a function.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rewards.errors import MissingModuleError, RewardError
from rewards.registry import Reward, collect, register

GROUP = "code_post_training.rewards"
"""The entry-point group: a name -> a module that registers rewards, or a function that becomes the reward of that name."""

_lock = threading.RLock()
_files: dict[Path, dict[str, Reward] | RewardError] = {}
_helpers: dict[str, Path] = {}
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
    if not path.is_file():
        raise RewardError(_missing(path))
    # Two plugin files may both be called reward.py.
    name = f"reward_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}".replace("-", "_")
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    found: dict[str, Reward] = {}
    # Known by its name, so that its classes can be pickled within this process and by children forked from it.
    sys.modules[name] = module
    try:
        with collect(f"file {path}", found), _folder_on_path(path.parent):
            loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        raise _explained(path, error) from None
    if not found:
        sys.modules.pop(name, None)
        raise RewardError(f'{path} registers no reward; put @register("name") before its function')
    return found


@contextmanager
def _folder_on_path(folder: Path) -> Iterator[None]:
    """`folder` first on `sys.path`; modules of the same name from another plugin's folder do not count."""
    for name in [name for name, owner in _helpers.items() if owner != folder]:
        sys.modules.pop(name, None)
        del _helpers[name]
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(folder) and not name.startswith("reward_plugin_"):
                _helpers[name] = folder


def _explained(path: Path, error: BaseException) -> RewardError:
    """One line: the statement of the file (or of what lies beside it) that failed, and how."""
    if isinstance(error, SyntaxError) and error.filename:
        return RewardError(f"{error.filename}:{error.lineno}: does not import: {type(error).__name__}: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == path.parent] or frames[-1:]
    where = f"{own[-1].filename}:{own[-1].lineno}" if own else str(path)
    if isinstance(error, RewardError):
        return RewardError(f"{where}: {error}")
    line = f"{where}: does not import: {_one_line(error)}"
    return MissingModuleError(line) if isinstance(error, ModuleNotFoundError) else RewardError(line)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, RewardError) else f"{type(error).__name__}: {text}" if text else type(error).__name__


def _missing(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; expected a Python file that registers a reward"
    if not path.parent.is_dir():
        return f"there is no plugin file {path}; its folder does not exist"
    close = difflib.get_close_matches(path.name, [each.name for each in path.parent.glob("*.py")], 1)
    return f"there is no plugin file {path}" + (f"; did you mean {path.parent / close[0]}?" if close else "")

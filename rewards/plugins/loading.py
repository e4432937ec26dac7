"""Find rewards by name: built-in ones, those of a Python file named in the recipe, and those of installed packages."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from rewards.errors import MissingModuleError, RewardError, one_line
from rewards.plugins.python_files import MissingPackageError, UserFileError, import_file
from rewards.registry import REWARDS, Reward, RewardFunction, collect, locate, register, registered_by
from rewards.suggestions import suggestion

GROUP = "code_post_training.rewards"
"""The entry-point group: a name -> a module that registers rewards, or a function that becomes the reward of that name."""

_BUILT_IN = {
    "white_box": "white_box",
    "code_tests": "code_tests",
    "bootcamp": "bootcamp",
    "interpreter": "interpreter",
    "verl": "verl_graders",
}
"""Built-in reward -> its module, which is imported on first use: a stage has one or two of them."""

_lock = threading.RLock()
_files: dict[Path, dict[str, Reward] | RewardError] = {}
_packages: tuple[str, ...] | None = None


def load(name: str, file: str | Path | None = None) -> Reward:
    """Return the reward `name` of a file, or else a built-in reward or one of an installed package.

    Raises:
        RewardError: it does not exist, or the file or package does not load.
    """
    if file is not None:
        found = load_file(Path(file))
        if name not in found:
            raise RewardError(f"{file} registers no reward called {name!r}{suggestion(name, found)}")
        return found[name]
    if name in _BUILT_IN:
        importlib.import_module(f"rewards.builtin.{_BUILT_IN[name]}")
        return REWARDS[name]
    _load_built_in()
    broken = () if name in REWARDS else broken_packages()
    if name not in REWARDS:
        raise RewardError("; ".join((f"no reward is called {name!r}{suggestion(name, REWARDS)}", *broken)))
    return REWARDS[name]


def list_rewards(file: str | Path | None = None) -> list[Reward]:
    """Return all rewards sorted by name, also those of a file if one is given.

    Packages that do not load are left out; `broken_packages` reports them.

    Raises:
        RewardError: the file does not load.
    """
    _load_built_in()
    broken_packages()
    own = load_file(Path(file)) if file is not None else {}
    return [reward for _, reward in sorted((REWARDS | own).items())]


def broken_packages() -> tuple[str, ...]:
    """Load the installed packages' rewards, once; return a line for each entry point that does not load."""
    global _packages  # noqa: PLW0603 (once per process)
    with _lock:
        if _packages is None:
            _load_built_in()
            points = importlib.metadata.entry_points(group=GROUP)
            _packages = tuple(line for point in points if (line := _load_point(point)))
        return _packages


def load_file(path: Path) -> dict[str, Reward]:
    """Return the rewards that a file registers, by name. A file is imported once per process.

    Raises:
        MissingModuleError: it imports a package that is not installed here.
        RewardError: it is missing, does not import, or registers nothing. One line, with file and line.
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
        raise type(found)(str(found))  # raising the same error again would accumulate tracebacks
    return found


def _load_built_in() -> None:
    for module in _BUILT_IN.values():
        importlib.import_module(f"rewards.builtin.{module}")


def _load_point(point: importlib.metadata.EntryPoint) -> str | None:
    package = f"package {point.dist.name} {point.dist.version}" if point.dist else "package unknown"
    try:
        with collect(package) as found:
            loaded = point.load()
            known = registered_by(sys.modules[point.module])
            for each in known:
                if each.name not in found and each.name not in REWARDS:  # a reward file has imported the module before
                    _register_as(each.name, each.function, each)
            if callable(loaded):
                _register_as(point.name, loaded, _find_own(loaded, known))
        if not found and not known:
            raise RewardError("it registers no reward")
        REWARDS.update(found)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        cause = str(error) if isinstance(error, RewardError) else one_line(error)
        return f"{package}: reward {point.name} = {point.value} does not load: {cause}"
    return None


def _find_own(function: RewardFunction, known: Sequence[Reward]) -> Reward | None:
    """Return what a function, or the function that it wraps, was registered as."""
    location = locate(function)
    same = [each for each in known if each.function is function] or [each for each in known if each.location == location]
    return same[0] if same else None


def _register_as(name: str, function: RewardFunction, like: Reward | None) -> None:
    """Register a function with the reference, cheats and check of another registration of it."""
    add = register(name) if like is None else register(name, reference=like.reference, cheats=like.cheats, ready=like.ready)
    add(function)


def _import(path: Path) -> dict[str, Reward]:
    _load_built_in()  # so that their names are taken
    try:
        with collect(f"file {path}") as found:
            import_file(path, "reward", RewardError)
    except MissingPackageError as error:
        raise MissingModuleError(str(error)) from None
    except UserFileError as error:
        raise RewardError(str(error)) from None
    if not found:
        raise RewardError(f'{path} registers no reward; put @register("name") before its function')
    return found

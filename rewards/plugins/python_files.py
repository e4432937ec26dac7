"""Python files of a user's own, which a recipe names: imported, and what is wrong with one told in one line.

A file is imported from its absolute path, under a module name that no other module has. Its folder is on `sys.path` only
while it is imported: what lies beside it is imported at its top, not inside a function.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from rewards.suggestions import nearest_path

_PREFIX = "plugin_file_"

_helpers: dict[str, Path] = {}


class UserFileError(ValueError):
    """A file that is not there or does not import; `str(error)` is one line, with file and line."""


class MissingPackageError(UserFileError):
    """A file that imports a package which this Python does not have; another Python may."""


def import_file(path: Path, thing: str, own_errors: type[Exception]) -> ModuleType:
    """Imports a file anew.

    Args:
        path: Absolute.
        thing: What it is to register, for messages.
        own_errors: Errors whose text says all, raised by what the file calls to register things.

    Raises:
        UserFileError: it is not there or does not import.
    """
    if not path.is_file():
        raise UserFileError(_describe_missing(path, thing))
    # Two files may both be called reward.py.
    name = f"{_PREFIX}{thing}_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}".replace("-", "_")
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Known by its name, so that its classes can be pickled within this process and by children forked from it.
    sys.modules[name] = module
    try:
        with _folder_on_path(path.parent):
            loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        forget(module)
        raise _explain(path, error, own_errors) from None
    return module


def forget(module: ModuleType) -> None:
    """Undoes an import."""
    sys.modules.pop(module.__name__, None)


def find_line(path: Path, error: BaseException) -> str:
    """`file:line` of the statement, in the file or in what lies beside it, that an error came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == path.parent] or frames[-1:]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(path)


def describe(error: BaseException) -> str:
    """An error's kind and text in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def _folder_on_path(folder: Path) -> Iterator[None]:
    """`folder` first on `sys.path`; modules of the same name from another file's folder do not count."""
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
            if file and Path(file).is_relative_to(folder) and not name.startswith(_PREFIX):
                _helpers[name] = folder


def _explain(path: Path, error: BaseException, own_errors: type[Exception]) -> UserFileError:
    if isinstance(error, SyntaxError) and error.filename:
        return UserFileError(f"{error.filename}:{error.lineno}: does not import: {type(error).__name__}: {error.msg}")
    where = find_line(path, error)
    if isinstance(error, own_errors):
        return UserFileError(f"{where}: {error}")
    line = f"{where}: does not import: {describe(error)}"
    return MissingPackageError(line) if isinstance(error, ModuleNotFoundError) else UserFileError(line)


def _describe_missing(path: Path, thing: str) -> str:
    if path.is_dir():
        return f"{path} is a folder; expected a Python file that registers a {thing}"
    return f"there is no plugin file {path}{nearest_path(path)}"

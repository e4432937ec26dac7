"""Import Python files of the user, and explain in one line why one does not import.

A file is imported from its absolute path, under a module name that no other module has. Its folder is on `sys.path` only
during the import, so the file must import its neighbours at the top, not inside a function.
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

from rewards.errors import one_line
from rewards.suggestions import nearest_path

_PREFIX = "plugin_file_"

_neighbours: dict[str, Path] = {}


class UserFileError(ValueError):
    """A file that is missing or does not import; `str(error)` is one line, with file and line."""


class MissingPackageError(UserFileError):
    """A file imports a package that this Python does not have; another Python may have it."""


def import_file(path: Path, thing: str, own_errors: type[Exception]) -> ModuleType:
    """Import a file as a new module.

    Args:
        path: Absolute.
        thing: What it must register, for messages.
        own_errors: Errors with a complete message, raised by the functions that register things.

    Raises:
        UserFileError: it is missing or does not import.
    """
    if path.is_dir():
        raise UserFileError(f"{path} is a folder; expected a Python file that registers a {thing}")
    if not path.is_file():
        raise UserFileError(f"plugin file {path} not found{nearest_path(path)}")
    # Two files may both be called reward.py.
    name = f"{_PREFIX}{thing}_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}".replace("-", "_")
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # With an entry here, objects of its classes can be pickled within this process and for children forked from it.
    sys.modules[name] = module
    try:
        with _folder_on_path(path.parent):
            loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        raise _explain(path, error, own_errors) from None
    return module


def find_line(path: Path, error: BaseException) -> str:
    """Return `file:line` of the innermost statement, in the file or a neighbour, that raised an error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == path.parent] or frames[-1:]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(path)


@contextmanager
def _folder_on_path(folder: Path) -> Iterator[None]:
    """Put `folder` first on `sys.path`, and drop modules imported from another file's folder: they may have the same names."""
    for name in [name for name, owner in _neighbours.items() if owner != folder]:
        sys.modules.pop(name, None)
        del _neighbours[name]
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
                _neighbours[name] = folder


def _explain(path: Path, error: BaseException, own_errors: type[Exception]) -> UserFileError:
    if isinstance(error, SyntaxError) and error.filename:
        return UserFileError(f"{error.filename}:{error.lineno}: does not import: {type(error).__name__}: {error.msg}")
    where = find_line(path, error)
    if isinstance(error, own_errors):
        return UserFileError(f"{where}: {error}")
    line = f"{where}: does not import: {one_line(error)}"
    return MissingPackageError(line) if isinstance(error, ModuleNotFoundError) else UserFileError(line)

"""Converters of one's own: functions of one record, in a Python file that the recipe names.

A file is imported once in each process (see `rewards/plugins/python_files.py`), and a large source is converted by several.
"""

from __future__ import annotations

import copy
import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.custom_rows import read_row
from preprocess.errors import LeftOutError, RowError, SourceError
from preprocess.rows import Row, Shape
from rewards.errors import one_line
from rewards.plugins.options import option_type
from rewards.plugins.python_files import UserFileError, find_line, import_file
from rewards.registry import collect, locate
from rewards.suggestions import misspelling

Function = Callable[..., Any]
"""`(record, *, option=default, …)` -> a row, several rows, or None. A row is a mapping, an SftRow or an RlRow."""

_lock = threading.RLock()
_files: dict[Path, dict[str, Converter[Any, Any]] | SourceError] = {}
_collecting: list[dict[str, Converter[Any, Any]]] = []
"""What the file has registered that is being imported for its converters."""


def converter(name: str, shape: Shape) -> Callable[[Function], Function]:
    """Decorator that makes a function the converter called `name`, for rows of a shape: `sft` or `rl`.

    The function is given a record as a dict; options are its keyword-only parameters.

    Raises:
        SourceError: another function has this name already, or the function takes something else.
    """
    if not isinstance(name, str) or shape not in get_args(Shape):
        raise SourceError('write @converter("name", "sft") or @converter("name", "rl")')

    def add(function: Function) -> Function:
        options = _read_signature(name, function)
        help_line = (inspect.getdoc(function) or "a converter of your own").partition("\n")[0]
        make: Any = _wrap(name, shape, function)
        made = Converter(name, help_line, dict, options, **{shape: make})
        for found in _collecting[-1:]:
            if name in found:
                raise SourceError(f"two converters are called {name!r}; the second is at {locate(function)}")
            found[name] = made
        return function

    return add


def load_file(path: Path) -> dict[str, Converter[Any, Any]]:
    """The converters that a file registers, by name.

    Raises:
        SourceError: it is not there, does not import, or registers nothing. One line, with file and line.
    """
    path = path.expanduser().absolute()
    with _lock:
        if path not in _files:
            try:
                _files[path] = _import(path)
            except SourceError as error:
                _files[path] = error
        found = _files[path]
    if isinstance(found, SourceError):
        raise SourceError(str(found))  # an error that is raised again and again would gather tracebacks
    return found


def _import(path: Path) -> dict[str, Converter[Any, Any]]:
    found: dict[str, Converter[Any, Any]] = {}
    _collecting.append(found)
    try:
        with collect(f"file {path}"):  # rewards that it may have, too, are not wanted here
            import_file(path, "converter", SourceError)
    except UserFileError as error:
        raise SourceError(str(error)) from None
    finally:
        _collecting.pop()
    if not found:
        raise SourceError(f'{path} registers no converter; put @converter("name", "sft") before its function')
    return found


def _read_signature(name: str, function: Function) -> type[Options]:
    """The options that a function takes."""
    where = f"converter {name} ({locate(function)})"
    wanted = "expected (record, *, option=default, ...)"
    if inspect.iscoroutinefunction(function):
        raise SourceError(f"{where} is async; {wanted}, not async")
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        raise SourceError(f"{where} takes no record; {wanted}")
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for each in parameters[1:]:
        if each.kind is not each.KEYWORD_ONLY:
            raise SourceError(f"{where}: parameter {each.name} is not keyword-only; {wanted}")
        if hasattr(Options, each.name) or each.name.startswith("__"):
            raise SourceError(f"{where}: an option cannot be called {each.name}")
        fields.append((each.name, option_type(function, each), *_read_default(each)))
    try:
        options = msgspec.defstruct(f"{name} options", fields, bases=(Options,), frozen=True, kw_only=True)
        msgspec.json.Decoder(options)  # looks at the types
    except (TypeError, ValueError, NameError) as error:
        raise SourceError(f"{where}: its options cannot be read: {' '.join(str(error).split())}") from None
    return cast("type[Options]", options)


def _read_default(parameter: inspect.Parameter) -> tuple[Any, ...]:
    """As a field's last part; none where there is no default."""
    default = parameter.default
    if default is parameter.empty:
        return ()
    if isinstance(default, list | dict | set):
        return (msgspec.field(default_factory=functools.partial(copy.deepcopy, default)),)
    return (default,)


def _wrap(name: str, shape: Shape, function: Function) -> Callable[[dict[str, Any], Options], list[Row]]:
    path = Path(locate(function).rpartition(":")[0])

    def make(record: dict[str, Any], options: Options) -> list[Row]:
        try:
            given = function(record, **msgspec.structs.asdict(options))
            given = list(given) if isinstance(given, Iterable) and not isinstance(given, Mapping | str) else [given]
        except RowError:
            raise
        except (Exception, SystemExit) as error:
            raise RowError(f"{_explain(error, record)} ({find_line(path, error)})") from error
        if given in ([], [None]):
            raise LeftOutError(f"converter {name} gave no row")
        return [read_row(each, shape, name) for each in given]

    return make


def _explain(error: BaseException, record: Mapping[str, Any]) -> str:
    line = one_line(error)
    missing = error.args[0] if isinstance(error, KeyError) and error.args else None
    return line + misspelling(missing, record) if isinstance(missing, str) and missing not in record else line

"""Custom converters: functions of one record, in a Python file that the recipe names.

A file is imported once in each process (see `rewards/plugins/python_files.py`); a large source is converted by several.
"""

from __future__ import annotations

import copy
import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.custom_rows import read_row
from preprocess.errors import LeftOutError, MissingPackageError, RowError, SourceError
from preprocess.rows import Row, Shape
from rewards.errors import one_line
from rewards.plugins import python_files
from rewards.plugins.options import option_type
from rewards.plugins.python_files import UserFileError, find_line, import_file
from rewards.registry import collect, locate
from rewards.suggestions import misspelling

Function = Callable[..., Any]
"""`(record, *, option=default, …)` -> a row, several rows, or None. A row is a mapping, an SftRow or an RlRow."""

_lock = threading.RLock()
_target: ContextVar[dict[str, Converter[Any, Any]] | None] = ContextVar("target", default=None)
"""The converters of the file that is being imported."""


def converter(name: str, shape: Shape) -> Callable[[Function], Function]:
    """Register the decorated function as the converter `name`, for rows of a shape: `sft` or `rl`.

    The function gets a record as a dict; its keyword-only parameters are options.

    Raises:
        SourceError: the name is taken, or the signature is wrong.
    """
    if not isinstance(name, str) or shape not in get_args(Shape):
        raise SourceError('write @converter("name", "sft") or @converter("name", "rl")')

    def add(function: Function) -> Function:
        options = _read_signature(name, function)
        help_line = (inspect.getdoc(function) or "a custom converter").partition("\n")[0]
        make: Any = _wrap(name, shape, function)
        found = _target.get()
        if found is not None:
            if name in found:
                raise SourceError(f"two converters are called {name!r}; the second is at {locate(function)}")
            found[name] = Converter(name, help_line, dict, options, **{shape: make})
        return function

    return add


def load_file(path: Path) -> dict[str, Converter[Any, Any]]:
    """Return the converters that a file registers, by name.

    Raises:
        SourceError: it is missing, does not import, or registers nothing. One line, with file and line.
    """
    with _lock:
        return _import(path.expanduser().absolute())


@functools.cache
def _import(path: Path) -> dict[str, Converter[Any, Any]]:
    found: dict[str, Converter[Any, Any]] = {}
    token = _target.set(found)
    try:
        with collect(f"file {path}"):  # ignores the rewards of the file
            import_file(path, "converter", SourceError)
    except python_files.MissingPackageError as error:
        raise MissingPackageError(str(error)) from None
    except UserFileError as error:
        raise SourceError(str(error)) from None
    finally:
        _target.reset(token)
    if not found:
        raise SourceError(f'{path} registers no converter; put @converter("name", "sft") before its function')
    return found


def _read_signature(name: str, function: Function) -> type[Options]:
    """Return the options of a function."""
    where = f"converter {name} ({locate(function)})"
    expected = "expected (record, *, option=default, ...)"
    if inspect.iscoroutinefunction(function):
        raise SourceError(f"{where} is async; {expected}, not async")
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        raise SourceError(f"{where} takes no record; {expected}")
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for each in parameters[1:]:
        if each.kind is not each.KEYWORD_ONLY:
            raise SourceError(f"{where}: parameter {each.name} is not keyword-only; {expected}")
        if hasattr(Options, each.name) or each.name.startswith("__"):
            raise SourceError(f"{where}: an option cannot be called {each.name}")
        default = each.default
        if isinstance(default, list | dict | set):
            default = msgspec.field(default_factory=functools.partial(copy.deepcopy, default))
        fields.append((each.name, option_type(function, each), *(() if default is each.empty else (default,))))
    try:
        options = msgspec.defstruct(f"{name} options", fields, bases=(Options,), frozen=True, kw_only=True)
        msgspec.json.Decoder(options)  # checks the types
    except (TypeError, ValueError, NameError) as error:
        raise SourceError(f"{where}: its options cannot be read: {' '.join(str(error).split())}") from None
    return cast("type[Options]", options)


def _wrap(name: str, shape: Shape, function: Function) -> Callable[[dict[str, Any], Options], list[Row]]:
    path = Path(locate(function).rpartition(":")[0])

    def make(record: dict[str, Any], options: Options) -> list[Row]:
        try:
            result = function(record, **msgspec.structs.asdict(options))
            rows = list(result) if isinstance(result, Iterable) and not isinstance(result, Mapping | str) else [result]
        except RowError:
            raise
        except (Exception, SystemExit) as error:
            missing = error.args[0] if isinstance(error, KeyError) and error.args else None
            hint = misspelling(missing, record) if isinstance(missing, str) and missing not in record else ""
            raise RowError(f"{one_line(error)}{hint} ({find_line(path, error)})") from error
        if rows in ([], [None]):
            raise LeftOutError(f"converter {name} gave no row")
        return [read_row(each, shape, name) for each in rows]

    return make

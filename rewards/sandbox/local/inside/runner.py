"""Load a runner, a module or a package, from sources that came over the connection."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def load(name: str, sources: Mapping[str, str]) -> ModuleType:
    """Load the module `name` from the sources of its modules, which can import each other meanwhile.

    Programs may have modules of the same names, so none of them stays importable.
    """
    loaded = set(sys.modules)
    finder: Any = _Sources(sources)
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        for each in sources.keys() - loaded:
            sys.modules.pop(each, None)


class _Sources:
    """Finds and loads modules by their sources."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._packages = {name.rpartition(".")[0] for name in sources}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        loader: Any = self
        return ModuleSpec(name, loader, is_package=name in self._packages) if name in self._sources else None

    def create_module(self, spec: ModuleSpec) -> None:
        return

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        exec(compile(self._sources[name], f"<{name}>", "exec", dont_inherit=True), module.__dict__)

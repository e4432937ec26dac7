"""Loading a runner, a module or a package, from sources that came over the connection."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def load(name: str, sources: Mapping[str, str]) -> ModuleType:
    """The module `name`, whose parts may import each other while they are loaded.

    Programs may have modules of the same names: none of these stays where `import` finds it.

    Args:
        name: the runner.
        sources: of each of its modules, by its dotted name.
    """
    before = dict(sys.modules)
    finder: Any = _Sources(sources)
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        for each in finder.names:
            if each in before:
                sys.modules[each] = before[each]
            else:
                sys.modules.pop(each, None)


class _Sources:
    """Finds and loads modules by their sources; a package above all of them is an empty one."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._packages = {each.rsplit(".", level)[0] for each in sources for level in range(1, each.count(".") + 1)}
        self.names = {*sources, *self._packages}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        loader: Any = self
        return ModuleSpec(name, loader, is_package=name in self._packages) if name in self.names else None

    def create_module(self, spec: ModuleSpec) -> None:
        return

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        exec(compile(self._sources.get(name, ""), f"<{name}>", "exec", dont_inherit=True), module.__dict__)

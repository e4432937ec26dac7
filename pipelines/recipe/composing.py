"""The composer of YAML documents, with limits that only wrong files exceed."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.composer import Composer, ComposerError

_MAX_DEPTH = 64
_MAX_NODES = 10_000
"""Keys and values."""


class LimitedComposer(Composer):
    """Refuses a document that is nested too deeply or has too many values, before it is read to the end."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        self._depth = self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node and everything in it.

        Raises:
            ComposerError: The document exceeds a limit.
        """
        self._depth += 1
        self._nodes += 1
        if self._depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            found = f"more than {_MAX_DEPTH} levels" if self._depth > _MAX_DEPTH else f"more than {_MAX_NODES // 2} values"
            raise ComposerError(None, None, f"found {found}", self.parser.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

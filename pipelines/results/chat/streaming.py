"""The text of an answer while it is generated, without the calls of the tool, which are shown when they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.evaluation.engine import Completion, Engine

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""The end of a text whose last character has further tokens."""


class TurnText:
    """Shows the text of one turn of the model.

    Args:
        decode: Decodes tokens.
        show: Shows more text.
        opening: The beginning of a call of the tool; the text from there on is kept back.
    """

    def __init__(self, decode: Callable[[list[int]], str], show: Callable[[str], None], opening: str | None = None) -> None:
        self._decode, self._show, self._opening = decode, show, opening
        self._text = ""
        self._shown = 0

    def update(self, tokens: list[int]) -> None:
        """Show what is new in the turn.

        Args:
            tokens: All tokens of the turn so far.
        """
        self._text = self._decode(tokens)
        self._show_up_to(self._end())

    def end(self, *, called: bool) -> None:
        """Show what was kept back, unless it was a call that the tool has answered."""
        if not called:
            self._show_up_to(len(self._text))

    def _end(self) -> int:
        """Return up to where the text can be shown."""
        text = self._text.removesuffix(_INCOMPLETE)
        if self._opening is None:
            return len(text)
        if (start := text.find(self._opening)) >= 0:
            return start
        # It may end with the first characters of a call.
        parts = range(min(len(self._opening) - 1, len(text)), 0, -1)
        return len(text) - next((size for size in parts if text.endswith(self._opening[:size])), 0)

    def _show_up_to(self, end: int) -> None:
        if end > self._shown:
            self._show(self._text[self._shown : end])
            self._shown = end


class WatchedEngine:
    """The engine, with each turn of the answer shown while it is generated."""

    def __init__(self, engine: Engine, decode: Callable[[list[int]], str], opening: str | None) -> None:
        self._engine, self._decode, self._opening = engine, decode, opening
        self._show: Callable[[str], None] = lambda text: None
        self._turn: TurnText | None = None

    def show_with(self, show: Callable[[str], None]) -> None:
        """Use this function for the next answer."""
        self._show, self._turn = show, None

    async def generate(self, prompt: list[int], parameters: dict[str, Any]) -> Completion:
        """Generate one turn."""
        self.end_turn(called=False)  # with a call that was not run
        turn = self._turn = TurnText(self._decode, self._show, self._opening)
        made = await self._engine.generate(prompt, parameters, turn.update)
        turn.update(made.tokens)
        return made

    def end_turn(self, *, called: bool) -> None:
        """Show what was kept back of the last turn, unless the tool has answered it."""
        if self._turn is not None:
            self._turn.end(called=called)
            self._turn = None

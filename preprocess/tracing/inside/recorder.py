"""Record which lines a program runs and what each of them changes."""

from __future__ import annotations

import builtins
import sys
from _thread import get_ident

from preprocess.tracing.inside.values import NoLiteralError, literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from typing import Any

# The program may replace built-in functions, or functions of `sys`: keep the originals.
globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})
_get_frame, _get_error = sys._getframe, sys.exc_info


class TooManyStepsError(BaseException):
    """Not an Exception, so that the program's `except Exception` does not catch it."""


class Frame:
    """A frame of the program that has begun a line."""

    __slots__ = ("number", "state", "step")

    def __init__(self, number: int, state: dict[str, Any]) -> None:
        self.number = number
        self.state = state
        self.step: list[Any] | None = None


class Recorder:
    """The hooks that `instrument` inserts into a program.

    `steps` has `[frame, line, changes, done]` for each line that began: the number of its frame; the variables of the frame
    whose values were different when the line was done, as `[type, literal]`, or `[]` if there is no literal; the number of
    lines that had begun when it was done, or None if it never was: the last `yield` of an abandoned generator.
    """

    def __init__(self, max_steps: int, max_value_chars: int) -> None:
        self.is_on = False
        self.fault = ""
        """Reason why the run cannot be traced."""
        self.steps: list[list[Any]] = []
        self._max_steps, self._max_value_chars = max_steps, max_value_chars
        self._frames: dict[int, Frame] = {}
        self._count = 0
        self._thread = get_ident()

    def fail(self, reason: str) -> None:
        """Give up on the run; the first reason is kept."""
        self.fault = self.fault or reason

    def begin(self, line: int) -> None:
        """Begin a line in the calling frame."""
        if self.is_on:
            self.begin_in(_get_frame(1), line)

    def end(self) -> None:
        """End the calling frame."""
        if self.is_on:
            frame = _get_frame(1)
            known = self._frames.pop(id(frame), None)
            if known is not None and known.step is not None:
                step = known.step
                self._finish(known, self._read_state(frame))
                if _get_error()[0] is GeneratorExit:
                    step[3] = None

    def loop(self, line: int, items: Iterable[Any]) -> Loop:
        """Return the items of a `for` loop; its head begins again before each item except the first."""
        return Loop(self, line, items)

    def begin_in(self, frame: FrameType, line: int) -> None:
        """Begin a line in a frame."""
        if get_ident() != self._thread:
            self.fail("it starts threads")
            return
        state = self._read_state(frame)
        known = self._frames.get(id(frame))
        if known is None:
            known = self._frames[id(frame)] = Frame(self._count, state)
            self._count += 1
        else:
            self._finish(known, state)
        if len(self.steps) >= self._max_steps:
            self.fail(f"more than {self._max_steps} steps")
            raise TooManyStepsError
        known.step = [known.number, line, {}, None]
        self.steps.append(known.step)

    def _finish(self, frame: Frame, state: dict[str, Any]) -> None:
        before = frame.state
        if frame.step is not None:
            frame.step[2] = {name: each for name, each in state.items() if name not in before or before[name] != each}
            frame.step[3] = len(self.steps)
            frame.step = None
        frame.state = state

    def _read_state(self, frame: FrameType) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for name, value in frame.f_locals.items():
            if not name.startswith("__"):
                try:
                    state[name] = [type(value).__name__, literal(value, self._max_value_chars)]
                except NoLiteralError:
                    state[name] = []
        return state


class Loop:
    """An iterator that records each request for an item."""

    __slots__ = ("_begun", "_items", "_line", "_recorder")

    def __init__(self, recorder: Recorder, line: int, items: Iterable[Any]) -> None:
        self._recorder, self._line = recorder, line
        self._items = iter(items)
        self._begun = False

    def __iter__(self) -> Loop:
        return self

    def __next__(self) -> Any:
        if self._begun and self._recorder.is_on:
            self._recorder.begin_in(_get_frame(1), self._line)
        self._begun = True
        return next(self._items)

"""Writes down which lines a program begins, and what each of them changed."""

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

globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})
_get_frame, _get_error = sys._getframe, sys.exc_info


class TooManyStepsError(BaseException):
    """No `except Exception` of a program's takes it for its own."""


class Frame:
    """A frame of the program that has begun a line."""

    __slots__ = ("number", "state", "step")

    def __init__(self, number: int, state: dict[str, Any]) -> None:
        self.number = number
        self.state = state
        self.step: list[Any] | None = None


class Recorder:
    """What the hooks that `instrument` puts into a program call.

    `steps` has, for each line that was begun, `[frame, line, changes, done]`: the number of its frame; the variables of that
    frame that had another value when the line was done, as `[type, literal]`, or `[]` where there is no literal; how many
    lines had been begun when it was done, or None where it never was: the last `yield` of a generator that is left.
    """

    def __init__(self, most_steps: int, longest: int) -> None:
        self.is_on = False
        self.fault = ""
        """What makes the run one that is not told of."""
        self.steps: list[list[Any]] = []
        self._most, self._longest = most_steps, longest
        self._frames: dict[int, Frame] = {}
        self._count = 0
        self._thread = get_ident()

    def fail(self, reason: str) -> None:
        """The run is not told of; the first reason counts."""
        self.fault = self.fault or reason

    def begin(self, line: int) -> None:
        """A line begins in the frame that calls."""
        if self.is_on:
            self.begin_in(_get_frame(1), line)

    def end(self) -> None:
        """The frame that calls ends."""
        if self.is_on:
            frame = _get_frame(1)
            known = self._frames.pop(id(frame), None)
            if known is not None and known.step is not None:
                step = known.step
                self._finish(known, self._look(frame))
                if _get_error()[0] is GeneratorExit:
                    step[3] = None

    def loop(self, line: int, items: Iterable[Any]) -> Loop:
        """The items of a `for` loop, whose head begins again before each but the first."""
        return Loop(self, line, items)

    def begin_in(self, frame: FrameType, line: int) -> None:
        """A line begins in a frame."""
        if get_ident() != self._thread:
            self.fail("it starts threads")
            return
        state = self._look(frame)
        known = self._frames.get(id(frame))
        if known is None:
            known = self._frames[id(frame)] = Frame(self._count, state)
            self._count += 1
        else:
            self._finish(known, state)
        if len(self.steps) >= self._most:
            self.fail(f"more than {self._most} steps")
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

    def _look(self, frame: FrameType) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for name, value in frame.f_locals.items():
            if name.startswith("__"):
                continue
            try:
                state[name] = [type(value).__name__, literal(value, self._longest)]
            except NoLiteralError:
                state[name] = []
        return state


class Loop:
    """An iterator that tells of each time it is asked for more."""

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

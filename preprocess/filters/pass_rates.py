"""Choosing rows by difficulty: how often a model's answers to them pass, generated and scored beforehand.

The file is one of JSON lines, a sample or a row each:

- `{"id": …, "score": …, "accuracy": …, "failed": …}`, as `pipeline rewards try -o` writes them. A sample passes when its
  accuracy, or its score where there is no accuracy, reaches `passed`; one whose reward failed says nothing.
- `{"id": …, "pass_rate": …}`: the share itself, between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from preprocess.engine.job import Kind
from preprocess.errors import SourceError
from preprocess.rows import Row
from preprocess.sources.decoding import describe


class _Line(msgspec.Struct):
    """A line of the file; other fields are skipped."""

    id: str | int
    pass_rate: float | None = None
    accuracy: float | None = None
    score: float | None = None
    failed: str | bool | None = None


@dataclass(frozen=True)
class PassRates:
    """Leaves rows out by the share of samples that pass (a `preprocess.engine.convert.Filter`)."""

    rates: dict[str, float]
    """Row -> the share of its samples that pass."""
    lowest: float
    highest: float
    keep_unknown: bool
    """Whether rows without a pass rate stay."""

    def judge(self, row: Row, name: str) -> tuple[Kind, str] | None:
        """Why the row is left out; None if it stays."""
        rate = self.rates.get(name)
        if rate is None:
            return None if self.keep_unknown else ("left_out", "it has no pass rate")
        if rate < self.lowest:
            return "left_out", f"its pass rate is under {self.lowest:g}"
        if rate > self.highest:
            return "left_out", f"its pass rate is over {self.highest:g}"
        return None


def read_pass_rates(file: Path, passed: float) -> dict[str, float]:
    """Row -> the share of its samples that pass.

    Args:
        file: JSON lines (see above).
        passed: what a sample's accuracy or score has to reach.

    Raises:
        SourceError: the file is not there, or a line is none of these; names the line.
    """
    rates: dict[str, float] = {}
    samples: dict[str, list[int]] = {}
    for place, line in _read(file):
        name = str(line.id)
        if line.pass_rate is not None:
            if not 0 <= line.pass_rate <= 1:
                raise SourceError(f"{place}: pass_rate is {line.pass_rate:g}, expected 0 to 1")
            if name in rates:
                raise SourceError(f"{place}: a second pass_rate for {name}")
            rates[name] = line.pass_rate
            continue
        value = line.score if line.accuracy is None else line.accuracy
        if value is None:
            raise SourceError(f"{place}: none of pass_rate, accuracy and score")
        if not line.failed:
            counts = samples.setdefault(name, [0, 0])
            counts[0] += value >= passed
            counts[1] += 1
    if both := next((name for name in rates if name in samples), None):
        raise SourceError(f"{file}: {both} has a pass_rate and samples, too")
    if not rates and not samples:
        raise SourceError(f"{file} has no pass rates")
    return rates | {name: passes / count for name, (passes, count) in samples.items()}


def _read(file: Path) -> Iterator[tuple[str, _Line]]:
    decoder = msgspec.json.Decoder(_Line)
    try:
        with file.open("rb") as lines:
            for number, text in enumerate(lines, 1):
                if text.isspace():
                    continue
                try:
                    yield f"{file}:{number}", decoder.decode(text)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise SourceError(f"{file}:{number}: {describe(str(error), _Line)}") from None
    except OSError as error:
        raise SourceError(f"pass rates {file}: {error.strerror}") from error

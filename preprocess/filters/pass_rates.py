"""Rows selected by difficulty: the share of a model's answers that pass, generated and scored beforehand.

The file has JSON lines, one per sample or per row:

- `{"row": …, "score": …, "accuracy": …, "failed": …}`, the responses of an evaluation (`pipeline evaluate`), or the same with
  `id`, as `pipeline rewards try -o` writes them. A sample passes if its accuracy, or its score if it has no accuracy, is at
  least `passed`; a sample whose reward failed is not counted.
- `{"id": …, "pass_rate": …}`: the share, between 0 and 1.

In a set's `responses.jsonl`, a last line without its end is skipped, as the evaluation does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from preprocess.config import PassRates
from preprocess.engine.job import Kind
from preprocess.errors import SourceError
from preprocess.rows import Row
from preprocess.sources.decoding import describe
from preprocess.sources.evaluations import RESPONSES, read_lines


class _Line(msgspec.Struct):
    """A line of the file; other fields are skipped."""

    id: str | int | None = None
    row: str | None = None
    """The id in the responses of an evaluation."""
    pass_rate: float | None = None
    accuracy: float | None = None
    score: float | None = None
    failed: str | bool | None = None


@dataclass(frozen=True)
class PassRateFilter:
    """Leaves out rows whose pass rate is out of range (a `preprocess.engine.job.Filter`)."""

    rates: dict[str, float]
    """Row -> the share of its samples that pass."""
    lowest: float
    highest: float
    keep_unknown: bool
    """Keep rows without a pass rate."""
    by_name: ClassVar[bool] = True

    def judge(self, row: Row, name: str) -> tuple[Kind, str] | None:
        """See `preprocess.engine.job.Filter`."""
        rate = self.rates.get(name)
        if rate is None:
            return None if self.keep_unknown else ("left_out", "it has no pass rate")
        if rate < self.lowest:
            return "left_out", f"its pass rate is under {self.lowest:g}"
        if rate > self.highest:
            return "left_out", f"its pass rate is over {self.highest:g}"
        return None


def load_pass_rates(config: PassRates) -> PassRateFilter:
    """Return the configured filter; raises as `read_pass_rates`."""
    rates = read_pass_rates(Path(config.file), config.passed)
    return PassRateFilter(rates, config.min, config.max, config.missing == "keep")


def read_pass_rates(file: Path, passed: float) -> dict[str, float]:
    """Return row -> the share of its samples that pass.

    Args:
        file: JSON lines (see the module's docstring).
        passed: The least accuracy or score of a sample that passes.

    Raises:
        SourceError: The file is missing, or a line has another form; names the line.
    """
    rates: dict[str, float] = {}
    samples: dict[str, list[int]] = {}
    for place, line in _read(file):
        if (name := _name(line)) is None:
            raise SourceError(f"{place}: no 'id', and no 'row' as in the responses of an evaluation")
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
        raise SourceError(f"{file}: {both} has both a pass_rate and samples")
    if not rates and not samples:
        raise SourceError(f"{file} has no pass rates")
    return rates | {name: passes / count for name, (passes, count) in samples.items()}


def _name(line: _Line) -> str | None:
    return line.row if line.id is None else str(line.id)


def _read(file: Path) -> Iterator[tuple[str, _Line]]:
    decoder = msgspec.json.Decoder(_Line)
    try:
        for number, _, text in read_lines(file, torn=file.name != RESPONSES):
            try:
                yield f"{file}:{number}", decoder.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise SourceError(f"{file}:{number}: {describe(str(error), _Line)}") from None
    except OSError as error:
        raise SourceError(f"pass rates {file}: {error.strerror}") from error

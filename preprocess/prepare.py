"""`python -m preprocess.prepare CONFIG.json`: a stage's sources into the files its trainer reads.

Writes train.parquet, validation.parquet, rejects.jsonl and summary.json, and for sft LLaMA-Factory's dataset_info.json.
The exit status is 2 for a mistake in what was given and 1 for a failure on the way.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from preprocess.convert import Converted, Reject, Source, convert
from preprocess.converters.base import describe
from preprocess.errors import PrepareError, SourceError
from preprocess.rows import Row, Shape, to_table
from preprocess.splits import split
from preprocess.writing import write_parquet, write_text
from rewards import sandbox

SPLITS = ("train", "validation")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(_Part):
    """One source."""

    converter: str
    source: Path
    limit: int | None = Field(None, ge=1)
    options: dict[str, Any] = {}

    def to_source(self) -> Source:
        """As the loop takes it."""
        return Source(self.converter, self.source, self.limit, self.options)


class Fraction(_Part):
    """Validation rows held out of the training rows."""

    fraction: float = Field(gt=0, lt=1)


class SandboxConfig(_Part):
    """Where programs run whose execution is traced; what comes of them is the same everywhere."""

    url: str | None = None
    isolation: Literal["strong", "weak"] = "strong"
    workers: int | None = Field(default=None, ge=1)


class Config(_Part):
    """What to prepare."""

    shape: Shape
    train: list[SourceConfig] = Field(min_length=1)
    validation: Fraction | list[SourceConfig]
    seed: int = 17
    max_rejects: float = Field(0.01, ge=0, le=1)
    """Share of records that may be rejected."""
    output: Path
    sandbox: SandboxConfig = SandboxConfig()


def prepare(config: Config) -> dict[str, Any]:
    """Makes the files; returns the summary that summary.json holds.

    Raises:
        SourceError: a mistake in the configuration or a source.
        PrepareError: too many rejects, or no rows.
        SandboxError: programs cannot be run.
        OSError: the files cannot be written.
    """
    train = convert([each.to_source() for each in config.train], config.shape)
    if isinstance(config.validation, Fraction):
        rejects, records = train.rejects, train.records
        _check_rejects(config, rejects, records)
        rows = split(train.rows, config.validation.fraction, config.seed)
    else:
        validation = convert([each.to_source() for each in config.validation], config.shape)
        rejects, records = train.rejects + validation.rejects, train.records + validation.records
        _check_rejects(config, rejects, records)
        rows = _drop_shared(train, validation)
    summary = _summarise(config.shape, records, dict(zip(SPLITS, rows, strict=True)), rejects)
    for name, part in zip(SPLITS, rows, strict=True):
        if not part:
            raise PrepareError(f"no {name} rows came of {records} records; see {config.output / 'rejects.jsonl'}")
        write_parquet(config.output / f"{name}.parquet", to_table(part, config.shape, name))
    if config.shape == "sft":
        write_text(config.output / "dataset_info.json", json.dumps(dataset_info(), indent=2) + "\n")
    write_text(config.output / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return summary


def dataset_info() -> dict[str, Any]:
    """What LLaMA-Factory must know of both files; every tag is said, because what is left out means alpaca."""
    return {
        name: {
            "file_name": f"{name}.parquet",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system", "tools": "tools"},
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
                "observation_tag": "observation",
                "function_tag": "function_call",
                "system_tag": "system",
            },
        }
        for name in SPLITS
    }


def _check_rejects(config: Config, rejects: Sequence[Reject], records: int) -> None:
    config.output.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(vars(reject), ensure_ascii=True) + "\n" for reject in rejects]
    write_text(config.output / "rejects.jsonl", "".join(lines))
    failed = [reject for reject in rejects if not reject.left_out]
    if records and len(failed) > config.max_rejects * records:
        raise PrepareError(
            f"{len(failed)} of {records} records were rejected, more than max_rejects {config.max_rejects:g} allows; "
            f"the first: {failed[0].source}:{failed[0].line}: {failed[0].reason}"
        )


def _drop_shared(train: Converted, validation: Converted) -> tuple[list[Row], list[Row]]:
    shared = {row.problem for row in validation.rows}
    return [row for row in train.rows if row.problem not in shared], validation.rows


def _summarise(shape: Shape, records: int, rows: dict[str, Sequence[Row]], rejects: Sequence[Reject]) -> dict[str, Any]:
    return {
        "shape": shape,
        "records": records,
        "rows": {name: len(part) for name, part in rows.items()},
        "problems": {name: len({row.problem for row in part}) for name, part in rows.items()},
        "rejected": _count(reject.reason for reject in rejects if not reject.left_out),
        "left_out": _count(reject.reason for reject in rejects if reject.left_out),
    }


def _count(reasons: Any) -> dict[str, int]:
    return dict(Counter(reasons).most_common())


def _read_config(path: Path) -> Config:
    try:
        return Config.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise SourceError(f"{path}: {describe(error, {*Config.model_fields, *SourceConfig.model_fields})}") from None


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit status."""
    if len(arguments) != 1:
        print("usage: python -m preprocess.prepare CONFIG.json", file=sys.stderr)
        return 2
    try:
        config = _read_config(Path(arguments[0]))
        sandbox.configure(sandbox.Settings(**dict(config.sandbox)))
        summary = prepare(config)
    except sandbox.SandboxError as error:
        print(f"error: {error}; see `pipeline doctor`", file=sys.stderr)
        return 1
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 1
    finally:
        sandbox.close_all()
    rows = summary["rows"]
    print(f"{summary['records']} records -> {rows['train']} training and {rows['validation']} validation rows")
    for kind in ("rejected", "left_out"):
        for reason, count in summary[kind].items():
            print(f"{kind.replace('_', ' ')}: {count}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

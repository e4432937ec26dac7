"""What `preprocess.jobs.prepare` is told: the rows of a stage, where they come from and which of them are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from preprocess.engine.job import Source
from preprocess.engine.splits import Split
from preprocess.errors import SourceError
from preprocess.filters.decontamination import FEWEST_NGRAM, USUAL_NGRAM, USUAL_SHARE, Decontamination
from preprocess.filters.evaluation_sets import EvaluationSet, make_decontamination
from preprocess.filters.pass_rates import PassRates, read_pass_rates
from preprocess.rows import Shape
from preprocess.settings import Positive, Proportion, read_settings


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a configuration."""


class PassRatesConfig(_Part, frozen=True, kw_only=True):
    """Which rows of a source stay, by the share of samples that pass."""

    file: Path
    min: Proportion = 0.0
    max: Proportion = 1.0
    passed: float = 1.0
    missing: Literal["leave_out", "keep"] = "leave_out"

    def read(self) -> PassRates:
        """What leaves the others out."""
        return PassRates(read_pass_rates(self.file, self.passed), self.min, self.max, self.missing == "keep")


class SourceConfig(_Part, frozen=True, kw_only=True):
    """One source."""

    converter: str
    source: Path
    limit: Positive | None = None
    options: dict[str, Any] = {}
    file: Path | None = None
    pass_rates: PassRatesConfig | None = None

    def to_source(self, split: Split | None = None) -> Source:
        """As the loop takes it."""
        return Source(self.converter, self.source, self.limit, self.options, self.file, split)


class Fraction(_Part, frozen=True, kw_only=True):
    """Validation rows held out of the training rows."""

    fraction: Annotated[float, Meta(gt=0, lt=1)]


class AgainstConfig(_Part, frozen=True, kw_only=True):
    """An evaluation set."""

    source: Path
    converter: str | None = None
    options: dict[str, Any] = {}
    file: Path | None = None


FetchedT = TypeVar("FetchedT", SourceConfig, AgainstConfig)


class DecontaminateConfig(_Part, frozen=True, kw_only=True):
    """What training rows must not overlap."""

    against: Annotated[list[AgainstConfig], Meta(min_length=1)]
    ngram: Annotated[int, Meta(ge=FEWEST_NGRAM)] = USUAL_NGRAM
    share: Annotated[float, Meta(gt=0, le=1)] = USUAL_SHARE

    def read(self) -> Decontamination:
        """What keeps rows out that do."""
        return make_decontamination(
            [EvaluationSet(**msgspec.structs.asdict(each)) for each in self.against], self.ngram, self.share
        )


class SandboxConfig(_Part, frozen=True, kw_only=True):
    """Where programs run whose execution is traced; what comes of them is the same everywhere."""

    url: str | None = None
    isolation: Literal["strong", "weak"] = "strong"
    workers: Positive | None = None


class HubConfig(_Part, frozen=True, kw_only=True):
    """How sources are fetched that are names on the HuggingFace hub."""

    python: Path
    """A Python that has `datasets`."""
    folder: Path
    """Where the files lie while they are read."""


class RayConfig(_Part, frozen=True, kw_only=True):
    """A Ray cluster."""

    address: str
    """host:port, `auto` or `local`."""
    python: Path
    """A Python that has Ray: verl's."""


class Config(_Part, frozen=True, kw_only=True):
    """What to prepare."""

    shape: Shape
    train: Annotated[list[SourceConfig], Meta(min_length=1)]
    validation: Fraction | Literal["own"] | list[SourceConfig]
    """own: the files of the sources say by their names what they are for."""
    shuffle: bool = False
    """Whether the rows of all sources are mixed; in the sources' order if not."""
    decontaminate: DecontaminateConfig | None = None
    """Validation sources of their own are not trained on, and so not compared."""
    seed: int = 17
    max_rejects: Proportion = 0.01
    """Share of records that may be rejected."""
    output: Path
    sandbox: SandboxConfig = SandboxConfig()
    hub: HubConfig | None = None
    ray: RayConfig | None = None
    """Convert on a Ray cluster; on this machine if not said. What comes of it is the same."""


def read_config(given: Any) -> Config:
    """The configuration that plain values say, as JSON has them.

    Raises:
        SourceError: a key is unknown or missing, or has a wrong value; one line.
    """
    return read_settings(given, Config, "the configuration")


def read_config_file(path: Path) -> Config:
    """The configuration in a JSON file.

    Raises:
        SourceError: it cannot be read, or as `read_config`.
    """
    try:
        return read_config(msgspec.json.decode(path.read_bytes()))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: not JSON: {error}") from error
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from None

"""Configuration that a recipe and a preparation's prepare.json share: the `data:` section and `sandbox:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from preprocess.config.text_fields import IsPath, IsRevision, is_url

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


@dataclass(frozen=True)
class PathRule:
    """Marks a field whose text is a path, which loading a recipe makes absolute."""

    hub: bool
    """A hub name is also allowed, and stays unchanged."""
    stage: bool = False
    """A stage's name is also allowed, and takes precedence."""
    suffixes: tuple[str, ...] = ()
    """Only a text with one of these endings is a path; default: any text."""


Location = Annotated[str, Field(min_length=1), IsPath, PathRule(hub=True)]
"""A path (relative to its recipe file) or a hub name such as `Qwen/Qwen2.5-Coder-7B-Instruct`."""

Revision = Annotated[str, Field(min_length=1), IsRevision]
"""A branch, tag or commit of a hub name."""

FilePath = Annotated[str, Field(min_length=1), IsPath, PathRule(hub=False)]
"""A path, relative to its recipe file; `~` is the home folder."""


class Model(BaseModel):
    """The base of configuration models: unknown keys are refused, values are constant."""

    # Strict: `epochs: "2"` and `steps: true` are mistakes, not numbers.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    @classmethod
    def describe_fields(cls) -> Mapping[str, str]:
        """Return the meaning of each field: the string below it.

        Only what shows them reads them: `use_attribute_docstrings` would parse the source whenever a recipe is loaded.
        """
        from preprocess.attribute_texts import read_attribute_texts

        bases = [base for base in reversed(cls.__mro__) if issubclass(base, Model)]
        texts = {name: text for base in bases for name, text in read_attribute_texts(base).items()}
        return {name: text for name, text in texts.items() if name in cls.model_fields}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        fields = handler.resolve_ref_schema(schema)["properties"]
        for name, text in cls.describe_fields().items():
            fields[name] |= {"description": text}
        return schema


class PassRates(Model):
    """Selects rows of a source by the share of a model's answers that pass."""

    file: FilePath
    """JSON lines: an evaluation's `responses.jsonl`; a line per sample as `pipeline rewards try -o` writes them; or `id` and
    `pass_rate` per row."""
    min: float = Field(default=0.0, ge=0, le=1)
    """Least share of samples that pass."""
    max: float = Field(default=1.0, ge=0, le=1)
    """Greatest share of samples that pass."""
    passed: float = 1.0
    """A sample passes if its accuracy is at least this; its score if it has no accuracy."""
    missing: Literal["leave_out", "keep"] = "leave_out"
    """Handling of rows that are missing from the file."""

    @model_validator(mode="after")
    def _in_order(self) -> PassRates:
        if self.min > self.max:
            raise ValueError(f"min is {self.min:g}, greater than max {self.max:g}: no row would be left")
        return self


def _check_revision(source: str, revision: str | None) -> None:
    if revision is not None and Path(source).is_absolute():
        raise ValueError(f"revision {revision} is for hub names; the source is a path")


class Source(Model):
    """Rows to train on: their location and converter."""

    converter: str
    """The converter's name (`pipeline data converters` lists them)."""
    source: Location
    """A file, a folder of files, or a hub name."""
    revision: Revision | None = None
    """Branch, tag or commit of a hub name; default: main."""
    limit: int | None = Field(default=None, ge=1)
    """Use only this many records, from the source's beginning."""
    options: dict[str, Any] = {}
    """Options of the converter."""
    file: FilePath | None = None
    """A Python file that registers the converter, if it is user-defined."""
    pass_rates: PassRates | None = None
    """Use only rows of some difficulty."""

    @model_validator(mode="after")
    def _check(self) -> Source:
        _check_revision(self.source, self.revision)
        return self


class ComparedSet(Model):
    """An evaluation set that training rows must not overlap."""

    source: Location
    """A file, a folder of files, or a hub name."""
    revision: Revision | None = None
    """Branch, tag or commit of a hub name; default: main."""
    converter: str | None = None
    """The converter that reads it; default: every text of its records is compared."""
    options: dict[str, Any] = {}
    """Options of the converter."""
    file: FilePath | None = None
    """A Python file that registers the converter, if it is user-defined."""

    @model_validator(mode="after")
    def _check(self) -> ComparedSet:
        _check_revision(self.source, self.revision)
        if self.converter is None and (self.options or self.file):
            raise ValueError(f"{'options' if self.options else 'file'} is for a converter, and `converter` is missing")
        return self


class Decontamination(Model):
    """Leaves out training rows that overlap an evaluation set: by n-grams of words, or by a function's body."""

    against: list[ComparedSet] = Field(min_length=1)
    """The evaluation sets."""
    ngram: int = Field(default=13, ge=8)
    """Words of an n-gram."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Share of an evaluation text that shared n-grams must cover."""


class Split(Model):
    """Holds out validation rows from the training rows, by problem: no problem is in both."""

    fraction: float = Field(gt=0, lt=1)
    """Share of the problems."""


def _source_shape(value: Any) -> str:
    return "(list)" if isinstance(value, list) else "(source)"


def _validation_shape(value: Any) -> str:
    if isinstance(value, str):
        return "(own)"
    if isinstance(value, Split) or (isinstance(value, dict) and not value.keys() & {"converter", "source"}):
        return "(share)"
    return _source_shape(value)


_SourceList = Annotated[list[Source], Field(min_length=1)]
Sources = Annotated[Annotated[Source, Tag("(source)")] | Annotated[_SourceList, Tag("(list)")], Discriminator(_source_shape)]
Validation = Annotated[
    Annotated[Literal["own"], Tag("(own)")]
    | Annotated[Split, Tag("(share)")]
    | Annotated[Source, Tag("(source)")]
    | Annotated[_SourceList, Tag("(list)")],
    Discriminator(_validation_shape),
]


Overlong = Literal["cut", "leave_out", "error"]
"""Handling of rows with too many tokens."""


class Data(Model):
    """The rows of a stage."""

    train: Sources
    """Training rows: one source, or a list of sources that are mixed."""
    validation: Validation
    """Validation rows: a share of the training problems, separate sources, or `own`: the training sources' own split,
    whose files or folders are called train, test or validation."""
    shuffle: bool = False
    """Shuffle the rows of all sources by the recipe's seed; default: the sources' order. The trainers shuffle, too."""
    decontaminate: Decontamination | None = None
    """Evaluation sets that no training row may overlap."""
    max_rejects: float = Field(default=0.01, ge=0, le=1)
    """Share of records that may fail to convert before the step fails. They are kept in rejects.jsonl with reasons."""
    overlong: Overlong | None = None
    """Handling of conversations longer than `max_tokens` (sft) and of prompts longer than `rollout.max_prompt_tokens` (rl),
    counted in tokens of the model's chat template before any training: `cut` truncates them, `leave_out` trains without
    them, `error` stops the run. Default: `cut` for sft, `leave_out` for rl. Their number is reported in any case."""
    max_overlong: float = Field(default=0.5, ge=0, le=1)
    """Share of prompts (conversations for sft) that may be overlong, cut or left out, before the run stops."""

    @property
    def train_sources(self) -> list[Source]:
        """The sources of the training rows."""
        return self.train if isinstance(self.train, list) else [self.train]

    @property
    def validation_sources(self) -> list[Source]:
        """The separate sources of the validation rows; empty if they come from the training sources."""
        if isinstance(self.validation, Source):
            return [self.validation]
        return self.validation if isinstance(self.validation, list) else []


class Sandbox(Model):
    """Where untrusted code runs."""

    url: Annotated[str, Field(min_length=1), is_url("http://host:port or https://host")] | None = None
    """A SandboxFusion service, such as http://localhost:8080; default: the local sandbox."""
    isolation: Literal["strong", "weak"] = "strong"
    """`weak` allows the local sandbox to run where the kernel offers less than the safe minimum."""
    workers: int | None = Field(default=None, ge=1)
    """Concurrent programs of each process that computes rewards or serves the tool; default: its share of the machine's
    cores and one more (1 for a single core); 32 for a SandboxFusion service."""

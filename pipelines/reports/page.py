"""The typed data of a report: all that its page shows. `pipeline report --json` prints it."""

from __future__ import annotations

from typing import Literal

import msgspec

from pipelines.records.runs import State
from pipelines.reports.catalogue import Form, Role

VERSION = 1
"""Version of the layout."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all parts: fields with their default value are left out."""


class Odd(Part, frozen=True, kw_only=True):
    """A value that no curve can show."""

    step: int
    value: Literal["not a number", "infinite"]


class Summary(Part, frozen=True, kw_only=True):
    """The values of a curve in a few numbers."""

    points: int
    mean: float | None = None
    first: float | None = None
    first_step: int = 0
    last: float | None = None
    last_step: int = 0
    low: float | None = None
    low_step: int = 0
    high: float | None = None
    high_step: int = 0
    odd: tuple[Odd, ...] = ()
    odd_total: int = 0


class Curve(Part, frozen=True, kw_only=True):
    """A metric of a run over the steps of a stage."""

    run: int
    """Place of the run in the page."""
    metric: str
    label: str = ""
    role: Role = "line"
    x: int
    """Place of its steps in `Curves.steps`."""
    y: list[float]
    summary: Summary


class Picture(Part, frozen=True, kw_only=True):
    """Curves in one picture."""

    title: str
    unit: str = ""
    form: Form = "lines"
    curves: list[Curve]


class Constant(Part, frozen=True, kw_only=True):
    """A metric that has one value in all steps."""

    run: int
    metric: str
    value: float


class TopicCurves(Part, frozen=True, kw_only=True):
    """The pictures of a topic."""

    name: str
    about: str = ""
    folded: bool = False
    pictures: list[Picture]
    constants: list[Constant] = []


class StageCurves(Part, frozen=True, kw_only=True):
    """The curves of a stage, of all runs that have it."""

    stage: str
    kind: Literal["sft", "rl"]
    topics: list[TopicCurves]
    notes: list[str] = []
    """What is left out of the curves, or could not be read."""


class Curves(Part, frozen=True, kw_only=True):
    """The curves of all stages."""

    steps: list[list[int]]
    """The steps of curves; curves with the same steps share one entry."""
    stages: list[StageCurves]


class StepRow(Part, frozen=True, kw_only=True):
    """A step of a run, as its record says."""

    name: str
    title: str
    state: State
    started: str = ""
    seconds: float | None = None
    attempts: int = 0
    reason: str = ""
    notes: list[str] = []


class Rows(Part, frozen=True, kw_only=True):
    """The rows of a stage, and the records that gave none."""

    records: int
    train: int = 0
    validation: int = 0
    lost: dict[str, int] = {}
    """Why records gave no row -> how many."""
    overlong: str = ""
    """Which of them had too many tokens, and what happened to them; empty: none."""


class StageCard(Part, frozen=True, kw_only=True):
    """A stage in the picture of the chain."""

    name: str
    kind: Literal["sft", "rl"]
    trainer: str
    algorithm: str = ""
    state: State
    model_in: str
    """The stage whose model it starts from, or a model."""
    rows: Rows | None = None
    steps: int | None = None
    """Training steps in all; None: not known."""
    reached: int = 0
    seconds: float | None = None
    """Wall time of all its steps."""
    train_seconds: float | None = None
    seconds_left: float | None = None
    """Of the training that runs."""
    attempts: int = 0
    checkpoints: list[int] = []
    handed_on: int | None = None
    """The step whose checkpoint is the stage's model."""
    model_out: str = ""
    """Its folder in the run directory; empty: not handed over yet."""
    headline: list[tuple[str, float, float]] = []
    """Important metrics: name, first and last value."""
    notes: list[str] = []
    problem: str = ""
    """Why it failed."""


class Measured(Part, frozen=True, kw_only=True):
    """A figure of a model on an evaluation set."""

    model: str
    run: int
    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    problems: int = 0
    sampling: str = ""
    cut: float = 0.0
    failed: int = 0
    tokens: float = 0.0
    change: tuple[float, float, float] | None = None
    """From the model before: the paired difference with its interval."""


class EvaluatedSet(Part, frozen=True, kw_only=True):
    """The models of the chain on one set."""

    name: str
    figure: str
    models: list[Measured]
    notes: list[str] = []


class Cause(Part, frozen=True, kw_only=True):
    """Why rewards failed or responses got no full score."""

    text: str
    responses: int


class Health(Part, frozen=True, kw_only=True):
    """The rewards of a stage's kept training samples."""

    run: int
    stage: str
    steps: int
    responses: int
    groups: int
    """Groups of two or more responses to a prompt."""
    constant: int
    """Of these, groups with equal rewards."""
    failed: int
    cut: int
    formed: int | None = None
    """Responses in the asked form; None: the rewards do not tell."""
    causes: list[Cause] = []


class Sample(Part, frozen=True, kw_only=True):
    """A response in the browser of samples."""

    run: int
    stage: str
    split: str
    step: int
    source: str
    row: str
    group: int
    number: int
    of: int
    """Responses of its group."""
    score: float
    values: dict[str, float] = {}
    reason: str = ""
    truth: str = ""
    prompt: int
    """Place of the prompt in `Samples.prompts`."""
    response: str
    tokens: int
    calls: int = 0
    cut: bool = False
    constant: bool = False
    """Whether all responses of its group have the same score."""


class Samples(Part, frozen=True, kw_only=True):
    """The browser of samples."""

    prompts: list[str]
    shown: list[Sample]
    notes: list[str] = []
    """How many samples there are, and which are in the page."""


class Setting(Part, frozen=True, kw_only=True):
    """A key of the recipe."""

    key: str
    values: list[str | None]
    """By run; None: the run's recipe does not have it."""
    default: str | None = None
    """None: it has none."""
    changed: bool = False
    """Whether a run's value is not the default."""
    differs: bool = False
    """Whether the runs have different values."""


class Pinned(Part, frozen=True, kw_only=True):
    """The environment of a trainer."""

    trainer: str
    version: str
    lock: str = ""
    """Digest of the lock from which it was built."""
    python: str = ""
    """The Python, where the user chose it."""


class RunPart(Part, frozen=True, kw_only=True):
    """A run."""

    name: str
    directory: str
    state: State
    project: str = ""
    """Version of this project that ran it; empty: not recorded."""
    platform: str = ""
    smoke: bool = False
    command: str = ""
    folder: str = ""
    seconds: float = 0.0
    stages: list[StageCard] = []
    steps: list[StepRow] = []
    pins: list[Pinned] = []
    notes: list[str] = []


class Page(Part, frozen=True, kw_only=True, omit_defaults=False):
    """A report."""

    version: int = VERSION
    written: str
    """UTC, ISO 8601."""
    live: bool = False
    """Whether the run writes it again while it continues."""
    runs: list[RunPart]
    curves: Curves
    evaluations: list[EvaluatedSet] = []
    health: list[Health] = []
    samples: Samples
    settings: list[Setting] = []

    @property
    def title(self) -> str:
        """The runs' names."""
        return " · ".join(run.name for run in self.runs)

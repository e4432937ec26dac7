"""The metrics of the trainers by topic: which curves belong together, and how they are drawn.

LLaMA-Factory's names (`trainer_log.jsonl`), those of verl's trainers, and those of this project's samples (`samples/…`). A
metric that no chart names is under `OTHER`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

Form = Literal["lines", "band", "stack"]
"""`band`: a mean between the least and the greatest value; `stack`: parts of a whole."""

Role = Literal["line", "low", "high", "part"]


@dataclass(frozen=True)
class Chart:
    """Curves in one picture."""

    title: str
    """May contain `{measure}`: one picture for each."""
    patterns: tuple[str, ...]
    """Regular expressions of whole names. Groups: `label` names the curve, `measure` the picture."""
    unit: str = ""
    form: Form = "lines"
    hide_zero: bool = False
    """Leave out curves that are always 0: what the trainer could not measure."""


@dataclass(frozen=True)
class Topic:
    """Charts under one heading."""

    name: str
    about: str
    charts: tuple[Chart, ...]
    folded: bool = False
    """Whether it is closed at first."""
    shows_constants: bool = False
    """Whether a curve with one value other than 0 is drawn; else its value is in a table."""


@dataclass(frozen=True)
class Place:
    """Where a metric is shown."""

    topic: int
    chart: int
    title: str
    label: str
    role: Role


def _band(title: str, prefix: str, unit: str = "") -> Chart:
    return Chart(title, (rf"{prefix}/(?P<label>mean|min|max)",), unit, "band")


SAMPLES = "samples/"
"""Prefix of figures that are computed from the kept samples."""

OTHER = Topic("Other", "Metrics that the trainer logged besides.", (), folded=True)

TOPICS = (
    Topic(
        "Reward",
        "The score of the responses in training, with every bonus.",
        (_band("reward", "critic/score"), _band("reward after the KL penalty", "critic/rewards")),
        shows_constants=True,
    ),
    Topic(
        "Reward components",
        "What the rewards returned besides the score: the mean over the kept training samples of a step.",
        (Chart("{measure}", (rf"{SAMPLES}value/(?P<measure>.+)",)),),
    ),
    Topic(
        "Validation",
        "Responses to rows that are not trained on.",
        (
            Chart("{measure}", (r"val-(?:core|aux)/(?P<label>.+)/(?P<measure>(?!has_accuracy)[^/]+)/mean@\d+",)),
            Chart(
                "{measure}",
                (r"val-(?:core|aux)/(?P<label>.+)/(?P<measure>(?!has_accuracy)[^/]+/(?:best|worst|maj)@\d+(?:/mean)?)",),
            ),
        ),
        shows_constants=True,
    ),
    Topic(
        "Reward health",
        "Whether the rewards can teach: a group of responses with equal rewards has no advantage.",
        (
            Chart("groups whose responses have equal rewards", (rf"{SAMPLES}constant",), "share"),
            Chart("responses whose reward failed", (rf"{SAMPLES}failed",), "share"),
            Chart(
                "responses cut at the limit", (rf"{SAMPLES}(?P<label>cut)", r"response_length/(?P<label>clip_ratio)"), "share"
            ),
            Chart("responses in the asked form", (rf"{SAMPLES}format",), "share"),
            Chart("aborted responses", (r"response/aborted_ratio",), "share", hide_zero=True),
        ),
    ),
    Topic(
        "Loss",
        "What the optimizer minimizes. In reinforcement learning its level says little; the reward does.",
        (
            Chart("training loss", (r"loss", r"train/loss")),
            Chart("validation loss", (r"eval_loss", r"val/loss")),
            Chart("policy loss", (r"actor/(?P<label>pg_loss|loss)",)),
            Chart("value loss", (r"critic/(?P<label>vf_loss)",)),
        ),
        shows_constants=True,
    ),
    Topic(
        "Length",
        "",
        (
            _band("response", "response_length", "tokens"),
            _band("prompt", "prompt_length", "tokens"),
            Chart("prompts cut at the limit", (r"prompt_length/clip_ratio",), "share"),
        ),
    ),
    Topic(
        "Entropy",
        "Of the next token. Near 0 the model no longer explores.",
        (Chart("entropy", (r"actor/(?P<label>entropy|entropy_loss)",)),),
    ),
    Topic(
        "KL divergence",
        "From the model that the stage starts from, and from the policy that generated the responses.",
        (
            Chart("from the initial model", (r"actor/(?P<label>kl_loss|reward_kl_penalty)",)),
            Chart("of one update", (r"actor/(?P<label>ppo_kl)",)),
            Chart("weight of the penalty", (r"actor/(?P<label>kl_coef|reward_kl_penalty_coeff)",)),
        ),
    ),
    Topic(
        "Gradient norm",
        "",
        (
            Chart("gradient norm", (r"(?:train/|actor/)?grad_norm",)),
            Chart("gradient norm of the critic", (r"critic/grad_norm",)),
        ),
    ),
    Topic(
        "Clip share",
        "Tokens whose policy ratio was clipped.",
        (
            Chart("policy", (r"actor/(?P<label>pg_clipfrac|pg_clipfrac_lower)",), "share"),
            Chart("value function", (r"critic/vf_clipfrac",), "share"),
        ),
    ),
    Topic(
        "Critic and advantages",
        "",
        (
            _band("advantages", "critic/advantages"),
            _band("returns", "critic/returns"),
            _band("values", "critic/values"),
            Chart("explained variance of the values", (r"critic/vf_explained_var",)),
        ),
        folded=True,
    ),
    Topic(
        "Tool use",
        "",
        (
            Chart("calls of the tool per response", (rf"{SAMPLES}calls",), hide_zero=True),
            _band("calls of the tool per response", r"(?:tool_call_counts|agent_loop/tool_calls)"),
            _band("turns per response", "num_turns"),
            _band("turns per validation response", "val-aux/num_turns"),
        ),
    ),
    Topic(
        "Time",
        "",
        (
            Chart("seconds per step by phase", (r"timing_s/(?P<label>(?!step$)[^/]+)",), "s", "stack"),
            Chart("seconds per step", (r"timing_s/step",), "s"),
            Chart("tokens per second and device", (r"perf/throughput",)),
        ),
    ),
    Topic(
        "Memory",
        "",
        (
            Chart(
                "GPU memory, peak",
                (r"(?:actor/|critic/)?perf/max_memory_(?P<label>allocated|reserved)_gb",),
                "GB",
                hide_zero=True,
            ),
            Chart("memory of the machine", (r"(?:actor/|critic/)?perf/cpu_memory_used_gb",), "GB"),
        ),
    ),
    Topic("Learning rate", "", (Chart("learning rate", (r"lr", r"(?:train|actor|critic)/lr")),)),
    Topic(
        "Rollout and trainer",
        "How far the probabilities of the engine that generates differ from those of the trainer.",
        (
            Chart("correlation of probabilities", (r"training/rollout_actor_probs_pearson_corr",)),
            Chart("difference of probabilities", (r"training/rollout_probs_diff_(?P<label>mean|max|std)",)),
            Chart("KL divergence", (r"rollout_corr/(?P<label>kl|k3_kl)",)),
        ),
        folded=True,
    ),
    OTHER,
)

_OTHER = len(TOPICS) - 1
_ROLES: dict[str, Role] = {"min": "low", "max": "high"}


@cache
def find_place(metric: str) -> Place:
    """Return where a metric is shown."""
    for number, topic in enumerate(TOPICS):
        for place, chart in enumerate(topic.charts):
            for pattern in chart.patterns:
                if found := re.fullmatch(pattern, metric):
                    named = found.groupdict()
                    label = named.get("label") or ""
                    role: Role = "part" if chart.form == "stack" else "line"
                    role = _ROLES.get(label, role) if chart.form == "band" else role
                    return Place(number, place, chart.title.format(measure=named.get("measure", "")), label, role)
    return Place(_OTHER, 0, metric, "", "line")

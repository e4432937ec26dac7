"""Whether a model is ready for RL on some prompts: how many of them can teach it anything, and what to change."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pipelines.errors import InputError
from pipelines.evaluation.measures import Measures, Share
from pipelines.evaluation.statistics import Figure, mean, pass_at_k
from pipelines.evaluation.summary import SetSummary

ENOUGH = 0.2
"""Least share of mixed prompts for which nothing is advised. The others take generation time and give no gradient."""
FEW = 0.05
"""Least share of mixed prompts that selecting rows by pass rate can make up for."""
_FORMED = 0.8
_CUT = 0.2


class Readiness(BaseModel):
    """What several samples per prompt show about RL on these prompts."""

    model_config = ConfigDict(frozen=True)

    always_fail: Share
    always_pass: Share
    mixed: Share
    """Prompts with samples that pass and samples that fail: in GRPO only these have a gradient, if the reward is 0 or 1."""
    varied: Share
    """Prompts whose samples differ in score, by a share of tests or a bonus."""
    mixed_interval: Figure
    once: Figure
    """pass@1."""
    best: Figure
    """pass@n with all samples: what RL can make likely."""
    has_form: Share | None
    cut: Share
    ready: bool
    advice: str
    """One line with its reason."""


def judge(summary: SetSummary) -> Readiness:
    """Judge a set that was evaluated with several samples per problem.

    Raises:
        InputError: The set has one sample per problem, or its reward reports no accuracy.
    """
    overall, samples = summary.overall, summary.samples
    if samples < 2:
        raise InputError(
            f"{summary.name}: one sample per prompt does not show which prompts are mixed; "
            "evaluate with the samples and temperature of the RL stage, such as --samples 8 --temperature 1"
        )
    if overall.passed is None:
        raise InputError(f"{summary.name}: its reward reports no accuracy, so no response passes or fails")
    prompts = sum(overall.passed.values())
    fail, solved = overall.passed.get(0, 0), overall.passed.get(samples, 0)
    mixed = prompts - fail - solved
    ready, advice = _advise(overall, mixed / prompts, fail / prompts, solved / prompts)
    return Readiness(
        always_fail=Share(count=fail, of=prompts),
        always_pass=Share(count=solved, of=prompts),
        mixed=Share(count=mixed, of=prompts),
        varied=overall.varied,
        mixed_interval=mean([1.0] * mixed + [0.0] * (prompts - mixed)),
        once=_pass_at(overall, samples, 1),
        best=_pass_at(overall, samples, samples),
        has_form=overall.has_form,
        cut=overall.cut,
        ready=ready,
        advice=advice,
    )


def _advise(overall: Measures, mixed: float, fail: float, solved: float) -> tuple[bool, str]:
    """Return whether to start RL, and one line of advice: first what spoils all prompts, then which prompts to take."""
    form, cut, varied = overall.has_form, overall.cut.share, overall.varied.share
    if form is not None and form.share < _FORMED:
        return False, f"{percent(form.share)} of responses have the asked form: more SFT on it, or an example in the prompt"
    if cut > _CUT:
        return False, f"{percent(cut)} of responses are cut: raise the limit of tokens, or more SFT on shorter answers"
    found = f"{percent(mixed)} of prompts are mixed"
    if mixed >= ENOUGH:
        return True, f"{found}: enough for GRPO"
    if varied >= ENOUGH:
        return True, f"{found}, but on {percent(varied)} the scores differ: enough for GRPO if that is not only a bonus"
    others, change = (
        (f"{percent(fail)} always fail", "take easier rows or more SFT")
        if fail >= solved
        else (f"{percent(solved)} always pass", "take harder rows")
    )
    if mixed >= FEW:
        return True, f"{found}, {others}: select rows by pass_rates, or {change}"
    return False, f"{found}, {others}: {change}"


def _pass_at(overall: Measures, samples: int, k: int) -> Figure:
    counts = (overall.passed or {}).items()
    return overall.figures.get(f"pass@{k}") or mean(
        [pass_at_k(samples, passed, k) for passed, problems in counts for _ in range(problems)]
    )


def percent(share: float) -> str:
    """Return a share in percent; not 0 % or 100 % unless it is."""
    return f"{min(max(round(100 * share), int(share > 0)), 100 - int(share < 1))} %"

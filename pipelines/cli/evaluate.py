"""`pipeline evaluate`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from pipelines.cli.common import ensure_environment
from pipelines.console.progress import Progress
from pipelines.console.tables import say
from pipelines.environments import environment
from pipelines.errors import InputError, StepError
from pipelines.evaluation.comparison import compare
from pipelines.evaluation.finding import find_target
from pipelines.evaluation.job import evaluate
from pipelines.evaluation.readiness import judge
from pipelines.evaluation.rendering import Options, make_spec, output_folder, recipe_options
from pipelines.evaluation.spec import Generation, Spec
from pipelines.evaluation.summary import Summary, read_summary
from pipelines.evaluation.tables import comparison_table, print_tables, readiness_lines, summary_tables


def evaluate_target(text: str, options: Options, output: Path | None, *, as_json: bool) -> None:
    """Evaluate a model and print what it reaches."""
    target = find_target(text)
    if options == Options():
        options = recipe_options(target)
    folder = (output or output_folder(target, options)).absolute()
    spec = make_spec(target, options, folder)
    ensure_generator(spec.generation)
    for line in _describe_sampling(spec):
        print(line, file=sys.stderr)
    display = Progress(sys.stderr)
    try:
        summary = evaluate(spec, folder, display)
    finally:
        display.close()
    if not summary.sets:
        raise StepError("; ".join(summary.warnings.values()))
    if as_json:
        print(summary.model_dump_json(indent=1))
    else:
        _print_summary(summary, folder)
    for warning in summary.warnings.values():
        print(f"warning: {warning}", file=sys.stderr)


def print_comparison(first: str, second: str, *, as_json: bool) -> None:
    """Print the difference of two evaluations."""
    comparison = compare(_find_evaluation(first), _find_evaluation(second))
    if as_json:
        print(comparison.model_dump_json(indent=1))
    else:
        print_tables([comparison_table(comparison)])


def _find_evaluation(text: str) -> Path:
    """Return the folder of an evaluation: given, or the default one of a target."""
    path = Path(text).expanduser()
    if (path / "evaluation.json").is_file():
        return path
    try:
        target = find_target(text)
        folder = output_folder(target, recipe_options(target))
        if not (folder / "summary.json").is_file():
            folder = output_folder(target, Options())
    except InputError as error:
        raise InputError(f"--compare {text}: not an evaluation; {error}") from None
    if not (folder / "summary.json").is_file():
        found = sorted(str(each.parent) for each in folder.parent.glob("*/summary.json"))
        others = f"; evaluations found: {', '.join(found)}" if found else ""
        raise InputError(f"--compare {text}: not evaluated yet: pipeline evaluate {shlex.quote(text)}{others}")
    read_summary(folder)
    return folder


def ensure_generator(generation: Generation) -> None:
    """Build verl's environment if it is missing; check one that the user chose."""
    given = environment("verl", generation.platform)
    if str(given.python) == generation.python:
        ensure_environment(given)
    elif not Path(generation.python).is_file():
        raise InputError(f"environments.verl: {generation.python}: no such file; expected a Python that has verl")


def _describe_sampling(spec: Spec) -> list[str]:
    """Return how the responses of each set are sampled."""
    return [
        f"{each.name}: {'greedy' if each.temperature == 0 else f'{each.samples} samples at temperature {each.temperature:g}'}"
        for each in spec.sets
    ]


def _print_summary(summary: Summary, folder: Path) -> None:
    print_tables(summary_tables(summary))
    for each in summary.sets.values():
        if each.samples > 1 and each.overall.passed is not None:
            for line in readiness_lines(judge(each)):
                say(f"{each.name}: {line}")
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    say(f"responses and figures: {shown}")
    say(f"next: pipeline evaluate --compare {shlex.quote(str(shown))} OTHER")

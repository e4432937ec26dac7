"""Run an evaluation from its spec: `python -m pipelines.evaluation.job FOLDER/evaluation.json`.

Makes the problems, generates and scores responses, and writes the summaries. What is on disk already is kept: the same command
resumes an evaluation that was stopped or killed.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from pipelines.console.progress import Progress
from pipelines.digests import Digests, write_atomically
from pipelines.errors import InputError, PipelineError, StepError, Stopped
from pipelines.evaluation import spec as specs
from pipelines.evaluation.model import check_model, fingerprint
from pipelines.evaluation.problems import make_problems
from pipelines.evaluation.progress import Counts
from pipelines.evaluation.results import find_others, make_key, settle
from pipelines.evaluation.sets import EvaluationSet
from pipelines.evaluation.spec import SUMMARY, Export, SetSpec, Spec
from pipelines.evaluation.summarising import summarise_folder
from pipelines.evaluation.summary import SetSummary, Summary
from pipelines.evaluation.summary import write as write_summary
from pipelines.records.holder import hold
from pipelines.run import process
from pipelines.run.command import run_logged
from pipelines.run.export import convert
from pipelines.run.failure import failure
from pipelines.run.process import signals_as_stopped
from pipelines.run.scratch import remove_scratch, scratch_folder
from pipelines.trainers.base import Launch
from preprocess import atomic
from rewards import sandbox

COMMAND = "pipeline evaluate"


def evaluate(spec: Spec, folder: Path, display: Progress) -> Summary:
    """Evaluate a model on all sets of a spec.

    Args:
        folder: The folder of the evaluation, absolute.

    Raises:
        InputError: The model, a set or what is in the folder is wrong; what was generated is kept.
        StepError: Generating or scoring failed; the next call resumes.
        Stopped: The user stopped it; the next call resumes.
    """
    with signals_as_stopped(), hold(folder, COMMAND):
        if names := process.end_orphans(folder):
            display.say(f"ended orphaned processes of an earlier evaluation: {', '.join(sorted(set(names)))}")
        remove_scratch(scratch_folder(folder))
        write_atomically(folder / specs.FILE, specs.dump(spec))
        if spec.export is not None:
            _export(spec, spec.export, folder, display)
        check_model(spec.model)
        model = fingerprint(spec.model)
        digests = Digests(folder / "digests.json")
        totals: list[int] = []
        failed: dict[str, str] = {}
        sandbox.configure(sandbox.read_settings(spec.sandbox, 1))
        try:
            for each in spec.sets:
                try:
                    totals.append(_prepare_set(spec, each, folder / each.name, model, digests, display))
                except InputError as error:
                    failed[each.name] = str(error)
        finally:
            sandbox.close_all()
        digests.save()
        if not totals:
            raise InputError("; ".join(failed.values()))
        _generate_and_score(spec, folder, sum(totals), display)
        return _summarise(spec, folder, model, failed)


def _export(spec: Spec, export: Export, folder: Path, display: Progress) -> None:
    """Convert the checkpoint into a model folder, unless that was done."""
    work, model, source = folder / "export", Path(spec.model), folder / "model.source"
    digest = fingerprint(export.checkpoint)
    if model.is_dir() and source.is_file() and source.read_text(encoding="utf-8") == digest:
        return
    shutil.rmtree(model, ignore_errors=True)
    display.start(f"export {spec.label}")
    launch = Launch(export.argv, export.variables, export.files)
    convert(launch, Path(export.checkpoint), work, folder, display.update).rename(model)
    write_atomically(source, digest)


def _prepare_set(spec: Spec, given: SetSpec, folder: Path, model: str, digests: Digests, display: Progress) -> int:
    """Set aside results that no longer hold, and make the problems; return the number of responses."""
    if aside := settle(folder, make_key(spec, given, model, digests)):
        display.say(aside)
    problems = folder / "problems.jsonl"
    if not problems.is_file():
        display.start(f"problems of {given.name}")
        definition = EvaluationSet.model_validate_json(json.dumps(given.definition))
        display.say(f"{given.name}: {make_problems(definition, problems, given.limit).describe()}")
    with problems.open("rb") as file:
        return given.samples * sum(1 for _ in file)


def _generate_and_score(spec: Spec, folder: Path, total: int, display: Progress) -> None:
    counts = Counts((folder / each.name for each in spec.sets), total)
    if counts.scored() >= total:
        return
    (folder / SUMMARY).unlink(missing_ok=True)  # of earlier responses
    if counts.before:
        display.say(f"resumes: {counts.before:,} of {total:,} responses are generated, {counts.scored():,} scored")
    display.start(f"evaluate {spec.label}")
    argv = (spec.generation.python, "-m", "pipelines.evaluation.processes", str(folder / specs.FILE))
    run_logged(argv, spec.generation.variables, folder, folder, "the evaluation", lambda: counts.show(display))
    if (scored := counts.scored()) < total:
        raise failure(f"the evaluation ended with {scored:,} of {total:,} responses", folder / "log")


def _summarise(spec: Spec, folder: Path, model: str, failed: Mapping[str, str]) -> Summary:
    """Write the summary of each set and of all; a set without one, or whose problems cannot be made, is a warning."""
    sets: dict[str, SetSummary] = {}
    warnings = dict(failed)
    for each in (each for each in spec.sets if each.name not in failed):
        try:
            sets[each.name] = summarise_folder(
                folder / each.name, samples=each.samples, temperature=each.temperature, metric=each.metric
            )
        except InputError as error:
            warnings[each.name] = str(error)
    for other in find_others(folder, spec, model):
        with suppress(ValidationError):  # of another version
            sets[other.name] = SetSummary.model_validate(atomic.read_json(other / SUMMARY))
    tool = "python_interpreter" if spec.generation.tool else None
    summary = Summary(target=spec.target, model=spec.model, tool=tool, sets=sets, warnings=warnings)
    write_summary(folder, summary)
    return summary


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    display = Progress(sys.stdout)
    try:
        if len(arguments) != 1:
            raise InputError("usage: python -m pipelines.evaluation.job FOLDER/evaluation.json")
        path = Path(arguments[0]).absolute()
        try:
            spec = specs.read(path)
        except specs.SpecError as error:
            raise InputError(str(error)) from None
        if warnings := evaluate(spec, path.parent, display).warnings:
            raise StepError("; ".join(warnings.values()))
    except PipelineError as error:
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)  # the rest is in the log
        return error.exit_status
    except Stopped as stopped:
        return 128 + stopped.number
    finally:
        display.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

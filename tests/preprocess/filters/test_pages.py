"""The examples of docs/decontamination.md, docs/pass-rates.md and docs/rejection-sampling.md work."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from pipelines.recipe.loading import load
from pipelines.recipe.nodes import Origin
from pipelines.recipe.reading import read
from preprocess.config import Data
from preprocess.filters.pass_rates import read_pass_rates
from preprocess.jobs.prepare import main
from tests import ROOT

PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("decontamination", "pass-rates")}


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_recipes_of_the_pages_are_valid(page: str) -> None:
    (block,) = blocks(page, "yaml")
    plain = read(block, lambda line: Origin(Path(), str(line), (0, line))).plain()
    data = Data.model_validate(plain["data"])
    assert data.decontaminate or data.train.pass_rates  # type: ignore[union-attr]


def test_example_lines_are_pass_rates(tmp_path: Path) -> None:
    (block,) = blocks("pass-rates", "json")
    (tmp_path / "scores.jsonl").write_text(block)
    assert read_pass_rates(tmp_path / "scores.jsonl", 1.0) == {
        "leetcode/lru-cache": 1.0,
        "leetcode/two-sum": 0.5,
        "leetcode/3sum": 0.25,
    }


def test_recipes_of_rejection_sampling_load(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "rejection-sampling.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    assert found.keys() == {"looped.yaml", "harder.yaml"}
    assert len(found["looped.yaml"].splitlines()) == 5
    for name, text in found.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        recipe = load(tmp_path / name).recipe
        assert recipe.name == "looped", "the second continues the run of the first"
        assert all(source.pass_rates for source in recipe.stages[-1].data.train_sources)


def test_example_program_compiles() -> None:
    (block,) = blocks("pass-rates", "python")
    compile(block, "generate.py", "exec")


def test_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a model: one of two samples of the first row passes, and none of the second."""
    monkeypatch.chdir(tmp_path)
    problems = ROOT / "preprocess" / "converters" / "examples" / "humaneval.jsonl"
    source = shutil.copy(problems, tmp_path / "problems.jsonl")
    (commands,) = blocks("pass-rates", "bash")
    convert, generate, score = (shlex.split(line) for line in commands.splitlines())
    assert generate[:2] == ["python", "generate.py"]
    convert[3:5] = ["humaneval", str(source)]
    call(convert, monkeypatch)
    first, second, *_ = [json.loads(line) for line in problems.read_text().splitlines()]
    solution = f"<answer>```python\n{first['prompt']}{first['canonical_solution']}\n```</answer>"
    responses = [{"id": first["task_id"], "response": [solution, "no"]}, {"id": second["task_id"], "response": ["no", "no"]}]
    Path(generate[-1]).write_text("".join(json.dumps(each) + "\n" for each in responses))
    call(score, monkeypatch)
    assert read_pass_rates(Path("scores.jsonl"), 1.0) == {first["task_id"]: 0.5, second["task_id"]: 0.0}
    config = {
        "shape": "rl",
        "train": [{"converter": "humaneval", "source": str(source), "pass_rates": {"file": "scores.jsonl", "min": 0.1}}],
        "validation": [{"converter": "gsm8k", "source": str(problems.with_name("gsm8k.jsonl"))}],
        "max_rejects": 1,
        "output": str(tmp_path / "out"),
    }
    Path("config.json").write_text(json.dumps(config))
    assert main(["config.json"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["rows"]["train"] == 1
    assert summary["left_out"]["its pass rate is under 0.1"] == 1


def call(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert not exited.value.code

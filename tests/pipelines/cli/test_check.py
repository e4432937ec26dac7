"""`pipeline check`: its findings and messages."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from pipelines.checks.findings import Report
from pipelines.checks.rewards import check_rewards, rows_by_source
from pipelines.checks.samples import open_sample
from pipelines.cli import main as cli
from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage
from preprocess.config import Sandbox
from rewards import sandbox
from tests import ROOT

pytestmark = pytest.mark.slow

RECIPE = f"""\
name: small
model: {{make: qwen2}}
hardware: {{platform: cpu}}
stages:
  - name: rl
    kind: rl
    algorithm: grpo
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py, limit: 5}}
      validation: {{fraction: 0.1}}
    steps: 4
    learning_rate: 1.0e-6
    batch: {{prompts: 4, mini: 4}}
    rollout: {{samples: 8, max_prompt_tokens: 256, max_response_tokens: 256}}
"""
SOLUTION = """
import json
def solution(truth, info):
    return json.loads(info["detail"])["solution"]
"""

Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Check:
    """Run `pipeline check` on a recipe with a reward and the plugin `mine.py`; return status, output and error output.

    As if no environment were built; tests/pipelines/checks/test_upstreams.py tests the answers of trainers.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.checks.upstreams.find_built", lambda _: None)
    monkeypatch.setattr("pipelines.cli.check._COUNT_SECONDS", 600.0)  # this machine may be busy

    def run(*arguments: str, reward: str = "code_tests", plugin: str = "", recipe: str = RECIPE) -> tuple[int, str, str]:
        Path("small.yaml").write_text(f"{recipe}    reward: {reward}\n")
        Path("mine.py").write_text("from rewards.registry import register\n" + SOLUTION + dedent(plugin))
        monkeypatch.setattr(sys, "argv", ["pipeline", "check", *(arguments or ("small.yaml",))])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        out, err = capsys.readouterr()
        return int(exited.value.code or 0), out, err

    return run


def rewards(out: str) -> list[str]:
    """Return the output from the table of rewards on."""
    lines = out.splitlines()
    return lines[lines.index("stage\treward\tsource\trows\treferences\tcheats\tresult") :]


def test_smoke_passes(check: Check, golden: Callable[[str, str], None]) -> None:
    status, out, err = check("smoke.yaml", "--set", "hardware.platform=cpu")
    said = "no problems found in what could be checked; next: pipeline run smoke.yaml --set hardware.platform=cpu\n"
    assert (status, err) == (0, said)
    lines = out.splitlines(keepends=True)
    assert sum("\tmemory\tabout " in line for line in lines) == 3
    # What this machine has.
    golden("check/smoke.txt", "".join(line for line in lines if not line.startswith("machine\t") and "\tmemory\t" not in line))


def test_the_sample_size_is_an_option(check: Check) -> None:
    _, out, _ = check("small.yaml", "--sample", "2")
    assert rewards(out)[1].split("\t")[:5] == ["rl", "code_tests", "programs_code programs.py", "2", "2"]


def test_answers_that_cost_nothing_are_reported(check: Check) -> None:
    status, out, _ = check("small.yaml", "--sample", "2")
    assert status == 0
    lines = [line.split("\t") for line in out.splitlines()]
    at = lines.index(["stage", "reward", "source", "rows", "nothing", "constant", "per row", "in prompt", "blank"])
    assert lines[at + 1][:4] == ["rl", "code_tests", "programs/code", "2"]
    assert 0.0 < float(lines[at + 1][6]) < 1.0


@pytest.mark.parametrize("known", ["", ", reference=solution", ", cheats=lambda truth, info: {'pass': 'pass'}"])
def test_a_constant_reward_is_found(check: Check, known: str) -> None:
    plugin = f"""
    @register("mine"{known})
    def mine(data_source, solution_str, ground_truth, extra_info):
        return 1.0
    """
    status, out, err = check(reward="{name: mine, file: mine.py}", plugin=plugin)
    assert status == 1
    assert "WRONG" in out
    assert err.startswith("error: stage rl: reward mine ")
    assert "fix this before training" in err


def test_wrong_scores_name_their_rows(check: Check) -> None:
    plugin = """
    @register("mine", reference=solution)
    def mine(data_source, solution_str, ground_truth, extra_info):
        return {"score": float("def" in solution_str), "accuracy": 0.5 * ("def" in solution_str)}
    """
    status, out, err = check(reward="{name: mine, file: mine.py}", plugin=plugin)
    assert status == 1
    rows = [line.split("\t")[:2] for line in rewards(out)[3:]]
    assert len(rows) == 5
    assert all(row.startswith("programs/") and what == "reference" for row, what in rows)
    assert "5 wrong scores" in err
    assert rows[0][0] in err


def test_rows_of_another_reward_are_found(check: Check) -> None:
    status, _, err = check(reward="white_box")
    assert status == 1
    assert "reward white_box on programs_code programs.py: it cannot score 5 of 5 rows, first programs/" in err


def test_a_reward_without_references_and_cheats_is_unchecked(check: Check) -> None:
    plugin = """
    @register("mine")
    def mine(data_source, solution_str, ground_truth, extra_info):
        return len(solution_str)
    """
    status, out, err = check(reward="{name: mine, file: mine.py}", plugin=plugin)
    assert (status, err) == (0, "no problems found in what could be checked; next: pipeline run small.yaml\n")
    assert "NOT CHECKED: it has no reference solutions" in out


def test_each_reward_is_checked_on_its_own_rows(check: Check) -> None:
    plugin = """
    @register("short")
    def short(data_source, solution_str, ground_truth, extra_info):
        return 1.0
    """
    reward = '[{name: code_tests}, {name: short, file: mine.py, data_source: "*"}, {name: white_box, data_source: "other/*"}]'
    status, out, err = check(reward=reward, plugin=plugin)
    assert status == 0, err  # a constant is fine in a sum of rewards
    assert [line.split("\t")[1] for line in rewards(out)[1:]] == ["code_tests", "short"]


@pytest.mark.parametrize(
    ("reward", "change", "message"),
    [
        ("code_test", ("", ""), r"small.yaml:\d+: stages.rl.reward: .*did you mean 'code_tests'"),
        ("code_tests", ("algorithm: grpo", "algoritm: grpo"), "algoritm"),
        ("code_tests", ("limit: 5", "limits: 5"), "limits"),
        ("code_tests", ("programs.py", "program.py"), r"not found: .*did you mean .*programs.py"),
        ("code_tests", ("converter: programs_code", "converter: execverify_sft"), "makes no rl rows"),
    ],
)
def test_a_mistake_is_status_2(check: Check, reward: str, change: tuple[str, str], message: str) -> None:
    status, _, err = check(reward=reward, recipe=RECIPE.replace(*change) if change[0] else RECIPE)
    assert status == 2
    assert re.search(message, err.splitlines()[-1])


def test_a_source_without_rows_is_found(check: Check, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"code": "", "input": "", "output": "", "id": "x"}\n')
    recipe = re.sub(r"programs_code, source: [^,]*", f"cruxeval, source: {tmp_path}/rows.jsonl", RECIPE)
    status, _, err = check(reward="white_box", recipe=recipe)
    assert status == 1
    assert "rl: rows of cruxeval rows.jsonl: no rows from 1 record, first " in err


def test_fewer_rows_than_a_step_needs_are_found(check: Check) -> None:
    status, _, err = check("small.yaml", "--set", "stages.rl.batch={prompts: 8, mini: 8}")
    assert status == 1
    assert "rl: rows: 5 rows in total, fewer than the 8 prompts of one step" in err


def test_a_partly_read_source_is_reported(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.cli.check.COUNTED", 3)
    monkeypatch.setattr("pipelines.cli.check.ROWS", 2)
    _, out, _ = check("small.yaml", "--sample", "2")
    assert "rl\trows of programs_code programs.py\t3 rows from the first 3 records" in out


def test_rejected_records_are_counted_and_limited(check: Check, tmp_path: Path) -> None:
    good = '{"code": "def f(x):\\n    return x", "input": "1", "output": "1", "id": "x"}\n'
    (tmp_path / "rows.jsonl").write_text(good * 9 + "{}x\n")
    recipe = re.sub(r"programs_code, source: [^,]*", f"cruxeval, source: {tmp_path}/rows.jsonl", RECIPE).replace(
        ", limit: 5", ""
    )
    status, out, err = check("small.yaml", "--sample", "1", reward="white_box", recipe=recipe)
    assert "9 rows from all 10 records; 1 rejected, first " in out
    assert (status, "more than max_rejects 0.01 allows" in err) == (1, True)
    recipe = recipe.replace("validation: {", "max_rejects: 0.5\n      validation: {")
    status, out, err = check("small.yaml", "--sample", "1", reward="white_box", recipe=recipe)
    assert (status, "note: 9 rows from all 10 records; 1 rejected" in out) == (0, True)


def test_a_missing_column_is_a_mistake(check: Check, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"code": "", "inputs": "", "output": "", "id": "x"}\n')
    recipe = re.sub(r"programs_code, source: [^,]*", f"cruxeval, source: {tmp_path}/rows.jsonl", RECIPE)
    status, _, err = check(reward="white_box", recipe=recipe)
    assert status == 2
    assert "rows.jsonl:1: no column 'input'; did you mean 'inputs'?" in err


@dataclass(frozen=True)
class Verl:
    """The parts of verl's environment that the checks use."""

    built: bool
    variables: Mapping[str, str] = field(default_factory=dict)
    python: Path = Path(sys.executable)

    def is_ready(self) -> bool:
        return self.built


@pytest.mark.parametrize("built", [False, True])
def test_a_reward_that_needs_verls_environment_is_checked_there(tmp_path: Path, built: bool) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "only_in_training.py").write_text("")
    (tmp_path / "mine.py").write_text(
        dedent("""
        import only_in_training
        from rewards.registry import register
        @register("mine", reference=lambda truth, info: "good", cheats=lambda truth, info: {"bad": "bad"})
        def mine(data_source, solution_str, ground_truth, extra_info):
            print("output of a plugin", end="")
            return float(solution_str in ("good", "bad"))
        """)
    )
    (tmp_path / "small.yaml").write_text(f"{RECIPE}    reward: {{name: mine, file: mine.py}}\n")
    loaded = load(tmp_path / "small.yaml", [])
    (stage,) = loaded.recipe.stages
    assert isinstance(stage, RlStage)
    rows = rows_by_source(open_sample(loaded, stage).read(2, Report()))
    verl = Verl(built, {"PYTHONPATH": f"{ROOT}:{tmp_path / 'there'}"})
    try:
        (checked,) = check_rewards(stage, rows, Sandbox(), verl)  # type: ignore[arg-type]
    finally:
        sandbox.close_all()
    if not built:
        assert "only_in_training" in checked.missing
        assert not checked.is_wrong
    else:
        assert checked.report is not None
        assert [(each.row.id, each.what) for each in checked.report.findings] == [
            (row.id, "cheat: bad") for row in rows["programs_code programs.py"]
        ]


def test_unusual_numbers_are_notes(check: Check) -> None:
    status, out, _ = check("smoke.yaml", "--set", "hardware.platform=cpu", "--set", "stages.stage-one.rollout.temperature=1.9")
    assert status == 0
    assert "note: --set stages.stage-one.rollout.temperature: found 1.9; usual is 0.3 to 1.5" in " ".join(out.split())

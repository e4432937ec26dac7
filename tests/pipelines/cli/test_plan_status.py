"""The exit status of `pipeline plan`: 2 for what no machine could run, 0 where only this machine lacks something."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.environments import choice
from pipelines.run import machine
from tests import ROOT
from tests.pipelines.conftest import Call

BASE = """\
name: base
model: ./model
hardware: {platform: cpu}
stages:
  - name: sft
    kind: sft
    data:
      train: {converter: programs_execution, source: PROGRAMS}
      validation: {fraction: 0.1}
    steps: 10
    learning_rate: 1.0e-5
    batch: {per_device: 2, accumulate: 1}
    max_tokens: 512
  - name: rl
    kind: rl
    algorithm: grpo
    data:
      train: {converter: programs_code, source: PROGRAMS}
      validation: {fraction: 0.1}
    reward: code_tests
    steps: 2
    learning_rate: 1.0e-6
    batch: {prompts: 8, mini: 4, micro_per_gpu: 2}
    rollout: {samples: 4, max_prompt_tokens: 320, max_response_tokens: 128}
"""

CONVERTER = """
from preprocess.converters.plugins import converter
@converter("mine", "sft")
def mine(record): return None
"""

REWARD = """
from rewards.registry import register
@register("mine")
def mine(data_source, solution_str, ground_truth, extra_info, *, limit: int = 1): return 0.0
"""

# Settings of the stage `rl`, or of the recipe; files to write -> text; what is printed.
OF_RECIPE = {
    "an unknown reward": ("reward=code_test", {}, "did you mean 'code_tests'?"),
    "the second of two rewards": ("reward=[{name: code_tests}, {name: code_test}]", {}, "did you mean 'code_tests'?"),
    "an unknown option of a reward": ("reward={name: code_tests, options: {max_test: 3}}", {}, "did you mean 'max_tests'?"),
    "an option of another type": ("reward={name: code_tests, options: {max_tests: many}}", {}, "option max_tests is 'many'"),
    "a broken reward file": (
        "reward={name: mine, file: ./mine.py}",
        {"mine.py": "def f(:"},
        "mine.py:1: does not import: Syntax",
    ),
    "a reward file that ends": ("reward={name: mine, file: ./mine.py}", {"mine.py": "import sys; sys.exit(3)"}, "mine.py:1"),
    "a reward file that raises": ("reward={name: mine, file: ./mine.py}", {"mine.py": "raise RuntimeError('boo')"}, "boo"),
    "a reward file without rewards": ("reward={name: mine, file: ./mine.py}", {"mine.py": "x = 1"}, "registers no reward"),
    "a name that its file does not register": (
        "reward={name: min, file: ./mine.py}",
        {"mine.py": REWARD},
        "did you mean 'mine'?",
    ),
    "an option that its file does not have": (
        "reward={name: mine, file: ./mine.py, options: {limits: 2}}",
        {"mine.py": REWARD},
        "did you mean 'limit'?",
    ),
    "an unknown converter": ("data.train.converter=program_code", {}, "did you mean 'programs_code'?"),
    "a converter that makes no rows for rl": ("data.train.converter=alpaca", {}, "makes no rl rows"),
    "an unknown option of a converter": ("data.train.options={tols: x}", {}, "programs_code"),
    "a broken converter file": (
        "data.train={converter: mine, file: ./mine.py, source: ./rows.jsonl}",
        {"mine.py": "def f(:", "rows.jsonl": "{}"},
        "mine.py:1: does not import: Syntax",
    ),
    "a converter file for sft": (
        "data.train={converter: mine, file: ./mine.py, source: ./rows.jsonl}",
        {"mine.py": CONVERTER, "rows.jsonl": "{}"},
        "makes no rl rows",
    ),
    "an address as a source": ("data.train.source=s3://bucket/rows", {}, "expected a file, a folder, or owner/name on the hub"),
    "an unknown converter of an evaluation set": (
        "data.decontaminate={against: [{converter: mbp, source: ./rows.jsonl}]}",
        {"rows.jsonl": "{}"},
        "did you mean 'mbpp'?",
    ),
    "a file as a model": ("/model=./rows.jsonl", {"rows.jsonl": "{}"}, "is a file; expected a HuggingFace model folder"),
    "a required set that is not evaluated": (
        "/evaluate={on: [own], require: {mbpp.pass@1: '> 0'}}",
        {},
        "mbpp is not in `evaluate.on`; expected own",
    ),
}
OF_MACHINE = {
    "a missing model": ("/model=./models/x", {}, "model folder not found"),
    "a folder without a model": ("/model=.", {}, "has no config.json"),
    "a missing source": ("data.train.source=data/nope.py", {}, "not found: "),
    "a missing reward file": ("reward={name: mine, file: ./mine.py}", {}, "mine.py not found"),
    "a missing converter file": (
        "data.train={converter: x, file: ./x.py, source: ./a.jsonl}",
        {"a.jsonl": ""},
        "x.py not found",
    ),
    "a converter that imports what is not installed": (
        "data.train={converter: mine, file: ./mine.py, source: ./rows.jsonl}",
        {"mine.py": "import no_such_package", "rows.jsonl": "{}"},
        "No module named 'no_such_package'",
    ),
    "a reward that is not ready": (
        "reward={name: mine, file: ./mine.py}",
        {
            "mine.py": REWARD.replace('("mine")', '("mine", ready=ready)').replace(
                "@register", "def ready(): raise KeyError('MY_KEY')\n@register"
            )
        },
        "not ready: KeyError: 'MY_KEY'",
    ),
    "a missing evaluation set": (
        "data.decontaminate={against: [{converter: mbpp, source: ./no.jsonl}]}",
        {},
        "not found: ",
    ),
    "a missing Python": ("/environments.verl=/no/such/python", {}, "/no/such/python: no such file"),
    "GPUs": ("/hardware={platform: cuda, gpus_per_node: 2}", {}, "gpus_per_node is 2, this machine has no GPU; --smoke tries"),
    "a missing program": ("/notify={command: [no-such-program]}", {}, "no-such-program is not on PATH"),
    "a required set whose source is elsewhere": (
        "/evaluate={on: [mbpp, own], require: {mbpp.pass@1: '> 0'}}",
        {},
        "mbpp.jsonl is not on this machine",
    ),
}


@pytest.fixture(autouse=True)
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recipe of two stages on a machine without GPUs."""
    for module in (choice, machine):
        monkeypatch.setattr(module, "detected_platform", lambda: "cpu")
    monkeypatch.setattr("pipelines.checks.preflight.count_gpus", lambda: 0)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    path = tmp_path / "base.yaml"
    path.write_text(BASE.replace("PROGRAMS", str(ROOT / "recipes" / "data" / "programs.py")))
    return path


def plan(call: Call, tmp_path: Path, setting: str, files: dict[str, str], *options: str) -> tuple[int, list[str]]:
    """Return the status and the lines on what a run would refuse."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    key = setting[1:] if setting.startswith("/") else f"stages.rl.{setting}"
    status, out, err = call("plan", "base.yaml", "--brief", "--set", key, *options)
    assert "Traceback" not in out + err
    _, _, refused = out.partition("`pipeline run` would refuse this recipe")
    return status, [*refused.splitlines(), *(line for line in err.splitlines() if line.startswith("error: "))]


@pytest.mark.parametrize("kind", OF_RECIPE)
def test_what_no_machine_could_run(kind: str, call: Call, tmp_path: Path) -> None:
    setting, files, expected = OF_RECIPE[kind]
    status, lines = plan(call, tmp_path, setting, files)
    assert status == 2
    assert any(expected in line for line in lines), lines
    assert " on this machine:" not in lines
    assert (call("run", "base.yaml", "--set", f"{'' if setting[0] == '/' else 'stages.rl.'}{setting.lstrip('/')}")[0]) == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", OF_MACHINE)
def test_what_only_this_machine_lacks(kind: str, call: Call, tmp_path: Path) -> None:
    setting, files, expected = OF_MACHINE[kind]
    status, lines = plan(call, tmp_path, setting, files)
    assert status == 0
    assert lines[0] == " on this machine:"
    assert any(expected in line for line in lines[1:]), lines


@pytest.mark.parametrize("kind", [kind for kind, (setting, *_) in (OF_RECIPE | OF_MACHINE).items() if setting[0] != "/"])
@pytest.mark.parametrize("options", [("--until", "sft"), ("--stage", "sft")], ids=" ".join)
def test_stages_that_do_not_run_need_nothing(kind: str, options: tuple[str, str], call: Call, tmp_path: Path) -> None:
    setting, files, _ = (OF_RECIPE | OF_MACHINE)[kind]
    assert plan(call, tmp_path, setting, files, *options) == (0, [])


def test_the_model_before_an_earlier_stage_is_not_needed(call: Call, tmp_path: Path) -> None:
    status, lines = plan(call, tmp_path, "/model=./gone", {}, "--from", "rl")
    assert (status, lines[:2]) == (0, [" on this machine:", "  --from rl: stage sft before it has no model yet; run it first"])
    (tmp_path / "runs/base/stages/sft/model").mkdir(parents=True)
    assert plan(call, tmp_path, "/model=./gone", {}, "--from", "rl") == (0, [])
    _, out, _ = call("plan", "base.yaml", "--set", "model=./gone", "--from", "rl", "--full")
    counted = out[out.index("# prompts.json") :]
    assert f'"model": "{tmp_path}/runs/base/stages/sft/model"' in counted and "gone" not in counted
    assert "sft/prepare" not in out


def test_rows_of_another_stage_are_counted_if_they_are_there(call: Call, tmp_path: Path) -> None:
    """So that the step stays done after a run with --until."""
    (tmp_path / "runs/base/stages/rl/data").mkdir(parents=True)
    whole = call("plan", "base.yaml", "--full")[1]
    part = call("plan", "base.yaml", "--full", "--until", "sft")[1]
    begin, end = "# prompts.json", "--- sft/train"
    assert part[part.index(begin) : part.index(end)] == whole[whole.index(begin) : whole.index(end)]
    assert "rl/prepare" not in part


def test_a_tiny_model_needs_the_rows_of_all_stages(call: Call) -> None:
    """Its vocabulary comes from them; a model of some rows only would be replaced by the whole run."""
    tiny = ("--set", "model={make: qwen2, vocabulary: 512, hidden_size: 64, layers: 1, heads: 1, max_tokens: 1024}")
    _, out, _ = call("plan", "base.yaml", "--brief", *tiny, "--until", "sft")
    assert "rl/prepare" in out and "rl/train" not in out
    _, out, _ = call(
        "plan", "base.yaml", "--brief", *tiny, "--until", "sft", "--set", "stages.rl.data.train.source=data/nope.py"
    )
    assert " on this machine:\n" in out and "stages.rl.data: not found: " in out


def test_an_evaluation_needs_the_rows_of_a_later_stage(call: Call) -> None:
    _, out, _ = call("plan", "base.yaml", "--brief", "--set", "evaluate={on: [own]}", "--until", "sft")
    assert "rl/prepare" in out and "rl/train" not in out


def test_stage_excludes_from_and_until(call: Call) -> None:
    for command in ("plan", "check", "run"):
        status, _, err = call(command, "base.yaml", "--stage", "sft", "--until", "rl")
        assert (status, err) == (2, "error: use either --stage, or --from and --until\n")


def test_a_recipe_for_gpus_on_a_machine_without_any(call: Call) -> None:
    gpus = ("--set", "hardware={gpus_per_node: 8}", "--set", "stages.rl.batch.mini=8")
    status, out, _ = call("plan", "base.yaml", "--brief", *gpus)
    assert status == 0
    assert "platform  cuda, 8 GPUs" in out
    assert (
        "  --set hardware: hardware.gpus_per_node is 8, this machine has no GPU; --smoke tries the recipe on the CPU, "
        "--set hardware.platform=cpu trains it there\n"
    ) in out
    status, _, err = call("run", "base.yaml", *gpus)
    assert status == 2 and "this machine has no GPU" in err
    _, out, _ = call("plan", "base.yaml", "--brief", "--set", "hardware={}")
    assert "platform  cpu, 1 process (no GPU was found)" in out

"""Reports of prompts' lengths, and their counting in the trainers' environments."""

from __future__ import annotations

import json
import os
import subprocess
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from preprocess.prompts.counting import Lengths, PromptError, Stage
from preprocess.prompts.lengths import report
from preprocess.rows import Message, RlRow, Row, SftRow, Turn
from tests import ROOT
from tests.rows import make_tiny_model, write_rows

pytestmark = pytest.mark.slow


def stage(tmp_path: Path, **changes: Any) -> Stage:
    given = {"name": "one", "shape": "rl", "model": "m", "files": {}, "output": str(tmp_path / "prompts.json"), "limit": 50}
    return Stage(**{**given, **changes})


def test_summarise_lengths() -> None:
    summary = Lengths(array("L", range(100, 0, -1)), ["a"]).summarise()
    assert (summary["rows"], summary["mean"], summary["median"], summary["percentile_95"]) == (100, 50.5, 51, 96)
    assert (summary["longest"], summary["over"], summary["first_over"]) == (100, 1, ["a"])
    assert Lengths().summarise()["longest"] == 0


def test_overlong_rows_are_reported_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {"train": Lengths(array("L", [10, 60, 60, 20]), ["x/1", "x/2"]), "validation": Lengths(array("L", [5]))}
    (note,) = report(stage(tmp_path, max_overlong=0.5), found)
    assert note == "one train: 2 of 4 prompts are longer than 50 tokens; verl leaves them out: x/1, x/2"
    assert "one train: 4 prompts of 37.5 tokens on average; median 60" in capsys.readouterr().out
    written = json.loads((tmp_path / "prompts.json").read_text())
    assert written["files"]["train"]["over"] == 2
    (note,) = report(stage(tmp_path, shape="sft"), found)
    assert "conversations are longer than 50 tokens; they are truncated" in note


@pytest.mark.parametrize(("over", "share"), [(3, 0.5), (4, 1.0)])
def test_too_many_overlong_rows_are_an_error(tmp_path: Path, over: int, share: float) -> None:
    found = {"train": Lengths(array("L", [60] * 4), [f"x/{n}" for n in range(over)])}
    with pytest.raises(
        PromptError, match=rf"^one train: {over} of 4 prompts are longer .*; more than max_overlong {share:g} allows$"
    ):
        report(stage(tmp_path, max_overlong=share), found)


OVER = {"train": Lengths(array("L", [10, 60, 70]), ["x/1", "x/2"]), "validation": Lengths(array("L", [5]))}


def test_overlong_rows_can_be_an_error(tmp_path: Path) -> None:
    with pytest.raises(PromptError) as caught:
        report(stage(tmp_path, shape="sft", overlong="error"), OVER)
    assert str(caught.value) == (
        "one train: 2 of 3 conversations are longer than 50 tokens, and data.overlong is error: x/1, x/2; "
        "set data.overlong to cut or leave_out, or the limit to 70"
    )
    assert json.loads((tmp_path / "prompts.json").read_text())["overlong"] == "error"
    assert report(stage(tmp_path, overlong="error", limit=70), {"train": Lengths(array("L", [70]))}) == []


@pytest.mark.parametrize("outcome", ["leave_out", "error"])
def test_rows_that_cannot_be_counted_are_an_error(tmp_path: Path, outcome: str) -> None:
    with pytest.raises(PromptError, match=r"^one: m has no chat template .*; set data.overlong to cut$"):
        report(stage(tmp_path, overlong=outcome), {})


def test_prompts_can_be_cut(tmp_path: Path) -> None:
    (note,) = report(stage(tmp_path, overlong="cut"), OVER)
    assert note.endswith("2 of 3 prompts are longer than 50 tokens; verl truncates their beginnings: x/1, x/2")


def test_conversations_can_be_left_out(tmp_path: Path) -> None:
    files = {split: tmp_path / f"{split}.parquet" for split in OVER}
    for split, path in files.items():
        rows = [SftRow("a", (Turn("human", f"{split} {number}"), Turn("gpt", "!"))) for number in OVER[split].tokens]
        write_rows(path, rows, "sft")
    pq.write_table(pq.read_table(files["train"]), files["train"], row_group_size=1)
    (tmp_path / "dataset_info.json").write_text("{}")
    fitting = tmp_path / "fitting"
    given = {"files": {split: str(path) for split, path in files.items()}, "fitting": str(fitting)}
    (note,) = report(stage(tmp_path, shape="sft", overlong="leave_out", max_overlong=1.0, **given), OVER)
    assert note.endswith(f"they are left out: x/1, x/2; listed in {fitting}/left_out.jsonl")
    kept = [pq.read_table(fitting / f"{split}.parquet")["conversations"].to_pylist() for split in OVER]
    assert [[row[0]["value"] for row in rows] for rows in kept] == [["train 10"], ["validation 5"]]
    listed = [json.loads(line) for line in (fitting / "left_out.jsonl").read_text().splitlines()]
    assert listed == [{"file": "train.parquet", "row": 1, "tokens": 60}, {"file": "train.parquet", "row": 2, "tokens": 70}]
    assert (fitting / "dataset_info.json").read_text() == "{}"
    assert pq.read_schema(fitting / "train.parquet") == pq.read_schema(files["train"])


TOOL = {"type": "function", "function": {"name": "python", "description": "Runs code.", "parameters": {"type": "object"}}}


def rl(name: str, *messages: tuple[str, str], tools: tuple[str, ...] = ()) -> RlRow:
    prompt = tuple(Message(role, content) for role, content in messages)  # type: ignore[arg-type]
    return RlRow(problem=name, id=name, data_source="d", prompt=prompt, ground_truth={}, tools=tools)


RL = [
    rl("plain", ("user", "What is f(1)?")),
    rl("with a system message", ("system", "Be brief."), ("user", "What is f(1)?")),
    rl("with a tool", ("user", "What is f(1)?"), tools=("python",)),
    rl("long", ("user", "What is f(1)? " * 40)),
]
SFT = [
    SftRow("a", (Turn("human", "What is f(1)?"), Turn("gpt", "It is 1."))),
    SftRow(
        "b",
        (
            Turn("human", "f(1)?"),
            Turn("function_call", '{"name": "python", "arguments": {}}'),
            Turn("observation", "1"),
            Turn("gpt", "It is 1."),
        ),
        system="Be brief.",
        tools=json.dumps([TOOL]),
    ),
]

# One process for all cases: importing transformers takes seconds.
CASES = """
import json, shutil, sys
from pathlib import Path
from preprocess.prompts import counting, lengths
folder = Path(sys.argv[1])
model = folder / "model"
if not (folder / "strict").exists():
    for name in ("strict", "bare", "arguments"):
        shutil.copytree(model, folder / name)
    template = (model / "chat_template.jinja").read_text()
    prompt = "'<|im_start|>assistant\\\\n'"
    assert template.count("{{- " + prompt) == 1
    template = template.replace("{{- " + prompt, "{{- " + prompt + " + ('' if enable_thinking | default(true) else 'no ')")
    (folder / "arguments" / "chat_template.jinja").write_text(template)
    refuse = "{% if messages[0].role == 'system' %}{{ raise_exception('no system messages here') }}{% endif %}"
    (folder / "strict" / "chat_template.jinja").write_text(refuse + "{{ messages[0].content }}")
    (folder / "bare" / "chat_template.jinja").unlink()
counting._ROWS_FOR_PROCESSES = 100
for case in json.loads((folder / "cases.json").read_text()):
    config = folder / "config.json"
    config.write_text(json.dumps({"stages": [case]}))
    (folder / "notes.json").unlink(missing_ok=True)
    status = lengths.main([str(config)])
    notes = json.loads((folder / "notes.json").read_text()) if status == 0 else []
    written = json.loads(Path(case["output"]).read_text()) if Path(case["output"]).exists() else None
    print("CASE", json.dumps([status, notes, written]), flush=True)
    print("CASE", file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]) -> Path:
    """Files of rows, and a tiny model with a tokenizer trained on them."""
    made = tmp_path_factory.mktemp("prompts")
    files: dict[str, list[Row]] = {"rl": [*RL], "sft": [*SFT]}
    for shape, rows in files.items():
        write_rows(made / f"{shape}.parquet", rows, shape)  # type: ignore[arg-type]
    write_rows(made / "many.parquet", [*RL] * 100, "rl")
    pq.write_table(pq.read_table(made / "many.parquet"), made / "many.parquet", row_group_size=150)
    make_tiny_model(trainer_python("llamafactory"), made / "rl.parquet")
    return made


@pytest.mark.real
@pytest.mark.parametrize("trainer", ["llamafactory", "verl"])
def test_prompts_are_counted_as_the_trainer_renders_them(
    trainer: str, folder: Path, trainer_python: Callable[[str], Path], tmp_path: Path
) -> None:
    def case(shape: str, **changes: Any) -> dict[str, Any]:
        number = len(cases)
        files = {"train": str(folder / f"{changes.pop('file', shape)}.parquet")}
        made = {"name": "one", "shape": shape, "model": str(folder / "model"), "files": files, **changes}
        cases.append({"output": str(tmp_path / f"{number}.json"), **made})
        return cases[-1]

    cases: list[dict[str, Any]] = []
    case("rl", limit=200, tools={"python": TOOL})
    case("rl", limit=200)
    case("rl", model=str(folder / "strict"))
    case("rl", model=str(folder / "bare"))
    case("rl", model=str(folder / "bare"), taught=True)
    case("sft", limit=400)
    case("sft", model=str(folder / "strict"))
    case("rl", file="many", tools={"python": TOOL}, limit=200)
    case("rl", limit=10)
    case("rl", model=str(folder / "nowhere"))
    case("sft", by_turns=True, limit=400)
    case("sft", by_turns=True, model=str(folder / "strict"))
    case("sft", by_turns=True, model=str(folder / "bare"))
    case("rl", tools={"python": TOOL, "other": TOOL})
    case("rl", model=str(folder / "arguments"), arguments={"enable_thinking": False})
    case("rl", model=str(folder / "arguments"))
    case("sft", by_turns=True, model=str(folder / "arguments"), arguments={"enable_thinking": False})
    (folder / "cases.json").write_text(json.dumps(cases))
    argv = [str(trainer_python(trainer)), "-c", CASES, str(folder)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(argv, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("CASE ")]
    errors = [text.strip().splitlines()[-1] if text.strip() else "" for text in done.stderr.split("CASE\n")]
    train: list[Any] = [written["files"].get("train") if written else None for _, _, written in found]

    assert [status for status, _, _ in found] == [0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1]
    assert train[0]["rows"] == 4
    assert found[0][1] == ["one train: 1 of 4 prompts are longer than 200 tokens; verl leaves them out: long"]
    assert train[0]["mean"] > train[1]["mean"], "the tool's schema is part of the prompt"
    assert found[1][1][1:] == ["one: 1 prompts name the tool python, which the stage does not have: no model sees it"]
    assert found[4][1][1:] == []
    assert found[5][1] == []
    assert errors[2] == "error: one: the prompt of with a system message does not render: no system messages here"
    assert "has no chat template: prompts cannot be rendered" in errors[3]
    assert "its prompts were not counted" in found[4][1][0]
    assert (train[5]["rows"], train[5]["over"], found[5][1]) == (2, 0, [])
    assert (
        "1 conversations do not render with the model's own chat template, and are counted without it; first row 1"
        in found[6][1][0]
    )
    assert (train[7]["rows"], train[7]["over"]) == (400, 100)
    assert train[7]["mean"] == train[0]["mean"], "the same in several processes"
    assert found[13][1] == ["one: no prompt names the tool other: no model sees it"]
    assert "4 of 4 prompts are longer than 10 tokens" in errors[8]
    assert "the tokenizer of" in errors[9] and "does not load" in errors[9]
    assert (train[10]["rows"], train[10]["longest"]) == (2, train[5]["longest"])
    assert "row 0 cannot be trained on by verl: the chat template leaves out turn 2" in errors[11]
    assert "has no chat template: prompts cannot be rendered" in errors[12]
    assert train[14]["mean"] > train[15]["mean"] == train[1]["mean"], "the arguments of the template are used"
    assert "the chat template changes the text before turn 2" in errors[16]

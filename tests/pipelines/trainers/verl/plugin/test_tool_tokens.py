"""What a model is taught of the tool is what it meets in verl's loop: the same tokens, and the same of them are its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.recipe.schema import Rollout
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.rows import SftRow
from rewards.builtin.interpreter_tool import ARGUMENT, NAME
from tests.pipelines.trainers.verl.conftest import ROOT
from tests.pipelines.trainers.verl.plugin.test_interpreter import render, tool_stage
from tests.preprocess.converters.code_rows import convert_example
from tests.rows import write_rows

pytestmark = pytest.mark.real

PROBE = Path(__file__).with_name("tokens_probe.py")
PRODUCTS = ROOT / "recipes" / "data" / "products.jsonl"
SIZES = {"vocabulary": 600, "hidden_size": 64, "layers": 2, "heads": 2, "max_tokens": 4096, "seed": 17}
LENGTHS = Rollout(samples=4, max_prompt_tokens=2000, max_response_tokens=2000)


def say(code: str) -> str:
    """A turn with a call."""
    return f'<tool_call>\n{{"name": "{NAME}", "arguments": {json.dumps({ARGUMENT: code})}}}\n</tool_call>'


UNREADABLE = say("x").replace("}}", "}")
WRONG: dict[str, dict[str, Any]] = {
    "unreadable": {"turns": [UNREADABLE, "never said"]},
    "too_long": {"turns": [say("1"), say("print('" + "long " * 100 + "')")], "settings": {"response_length": 150}},
    "too_many_turns": {"turns": [say("1"), say("2"), say("3"), say("4"), "never said"]},
    "long_reply": {"turns": [say("print('long ' * 500)"), "never said"], "settings": {"response_length": 150}},
}

# For each turn of the model, the tokens before it and its own: what LLaMA-Factory does not learn, and what it does.
LLAMAFACTORY = """
import json, sys
from llamafactory.data.template import TEMPLATES
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
roles = {"human": "user", "gpt": "assistant", "function_call": "function", "observation": "observation"}
for row in json.load(open(sys.argv[1])):
    turns = [{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
    print("SEEN", json.dumps(TEMPLATES["qwen"].encode_multiturn(tokenizer, turns, row["system"], row["tools"])))
"""

Pairs = list[tuple[list[int], list[int]]]


@dataclass(frozen=True)
class Taught:
    """A conversation of sft."""

    way: str
    """Which tool it is for."""
    row: SftRow
    pairs: Pairs
    """Its tokens."""

    @property
    def prompt(self) -> list[dict[str, str]]:
        """What a row of rl asks."""
        assert self.row.system
        return [{"role": "system", "content": self.row.system}, {"role": "user", "content": self.row.conversations[0].value}]


@dataclass(frozen=True)
class Lesson:
    """All conversations, and the model that they are for."""

    taught: Sequence[Taught]
    model: Path


def take_rows() -> list[tuple[str, SftRow]]:
    """Conversations with one call and with several, each with the way of the tool that it is for."""
    found = [
        ("stateless", row) for name in ("apps", "humaneval", "leetcode") for row in convert_example(name, "sft", tool=NAME).rows
    ]
    found += [("stateless", row) for row in convert_example("gsm8k", "sft", tool=NAME).rows]
    options = {"tool": NAME, "stateful": True}
    found += [("stateful", row) for row in convert([Source("gsm8k", PRODUCTS, limit=5, options=options)], "sft").rows]
    return [(way, row) for way, row in found if isinstance(row, SftRow)]


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]) -> Lesson:
    folder, python = tmp_path_factory.mktemp("taught"), trainer_python("llamafactory")
    ways, rows = zip(*take_rows(), strict=True)
    write_rows(folder / "rows.parquet", rows, "sft")
    config = {"make": "qwen2", **SIZES, "rows": [str(folder / "rows.parquet")], "output": str(folder / "model")}
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run([python, "-m", "pipelines.models.tiny", folder / "config.json"], cwd=ROOT, check=True)
    (folder / "rows.json").write_text(json.dumps(pq.read_table(folder / "rows.parquet").to_pylist()))
    arguments = [python, "-c", LLAMAFACTORY, folder / "rows.json", folder / "model"]
    done = subprocess.run(arguments, cwd=ROOT, text=True, capture_output=True, check=True)
    seen = [json.loads(line.removeprefix("SEEN ")) for line in done.stdout.splitlines() if line.startswith("SEEN ")]
    return Lesson([Taught(*each) for each in zip(ways, rows, seen, strict=True)], folder / "model")


@pytest.fixture(scope="module")
def outcomes(
    lesson: Lesson, verl_python: Path, verl_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What came of the conversations that are taught, and of some that go wrong."""
    folder = tmp_path_factory.mktemp("talk")
    for way in ("stateless", "stateful"):
        rendered = render(tool_stage(stateful=way == "stateful", max_turns=4).model_copy(update={"rollout": LENGTHS}))
        (folder / way).mkdir()
        (folder / way / "tool.yaml").write_text(rendered.files["tool.yaml"])
        (folder / "train.yaml").write_text(rendered.files["train.yaml"])
    conversations = [
        # without the newline after a turn's end, which is the template's and not the model's
        {"way": each.way, "prompt": each.prompt, "turns": [own[:-1] for _, own in each.pairs]}
        for each in lesson.taught
    ]
    prompt = lesson.taught[0].prompt
    conversations += [{"way": "stateful", "prompt": prompt, **each} for each in WRONG.values()]
    (folder / "conversations.json").write_text(json.dumps(conversations))
    done = subprocess.run(
        [verl_python, "-W", "ignore", PROBE, folder, lesson.model],
        env=verl_environment | {"VERL_PLATFORM": "cpu"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"prompt"')]
    return {"taught": lines[: len(lesson.taught)], **dict(zip(WRONG, lines[len(lesson.taught) :], strict=True))}


def test_the_loop_says_what_was_taught_token_for_token(lesson: Lesson, outcomes: dict[str, Any]) -> None:
    assert len(lesson.taught) >= 14
    for each, outcome in zip(lesson.taught, outcomes["taught"], strict=True):
        (asked, _), *_ = each.pairs
        assert outcome["prompt"] == asked
        tokens = [token for pair in each.pairs for part in pair for token in part]
        newline = tokens[-1]
        assert outcome["prompt"] + outcome["response"] + [newline] == tokens
        # LLaMA-Factory learns the newline after a turn's end, too; in verl it is the template's
        own = [part is learned for pair in each.pairs for part in pair for learned in [pair[1]] for _ in part]
        ends = {place for place in range(len(tokens)) if own[place] and not (own[place + 1 : place + 2] or [False])[0]}
        learned = [int(mine and place not in ends) for place, mine in enumerate(own)]
        assert outcome["mask"] + [0] == learned[len(asked) :]


def test_the_page_shows_such_a_response(lesson: Lesson, outcomes: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "interpreter.md").read_text(encoding="utf-8")
    first = [each.way for each in lesson.taught].index("stateful")
    assert f"```text\n{outcomes['taught'][first]['text']}\n```" in page
    assert lesson.taught[first].row.problem in page


def test_rewards_and_metrics_are_told_what_became_of_it(lesson: Lesson, outcomes: dict[str, Any]) -> None:
    for each, outcome in zip(lesson.taught, outcomes["taught"], strict=True):
        calls = sum(turn.speaker == "function_call" for turn in each.row.conversations)
        account = outcome["account"]
        assert account["last_turn"] == each.row.conversations[-1].value
        assert {name: account[name] for name in ("calls", "malformed", "cut", "errors")} == {
            "calls": calls,
            "malformed": 0,
            "cut": 0,
            "errors": 0,
        }
        assert outcome["turns"] == 2 + 2 * calls


def test_a_call_that_cannot_be_read_ends_the_response(outcomes: dict[str, Any]) -> None:
    outcome = outcomes["unreadable"]
    account = outcome["account"]
    assert (account["calls"], account["malformed"], account["cut"]) == (1, 1, 0)
    assert account["last_turn"] == UNREADABLE
    assert set(outcome["mask"]) == {1}


def test_a_call_at_the_end_of_a_response_is_not_run(outcomes: dict[str, Any]) -> None:
    for name, calls in (("too_long", 1), ("too_many_turns", 3)):
        account = outcomes[name]["account"]
        assert (name, account["calls"], account["cut"], account["malformed"]) == (name, calls, 1, 0)
    assert len(outcomes["too_long"]["response"]) == WRONG["too_long"]["settings"]["response_length"]


def test_a_reply_that_does_not_fit_is_left_out(outcomes: dict[str, Any]) -> None:
    outcome = outcomes["long_reply"]
    assert outcome["account"]["calls"] == 1
    assert set(outcome["mask"]) == {1}, "the response ends with the call"

"""SFT rows with the tool and verl's agent loop agree: the same tokens, and the same tokens of the model."""

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
from tests import ROOT
from tests.pipelines.trainers.verl.plugin.test_interpreter import render, tool_stage
from tests.pipelines.trainers.verl.training import run_probe
from tests.preprocess.converters.code_rows import convert_example
from tests.rows import write_rows

pytestmark = pytest.mark.nightly

PROBE = Path(__file__).with_name("tokens_probe.py")
PRODUCTS = ROOT / "recipes" / "data" / "products.jsonl"
SIZES = {"vocabulary": 600, "hidden_size": 64, "layers": 2, "heads": 2, "max_tokens": 4096, "seed": 17}
LENGTHS = Rollout(samples=4, max_prompt_tokens=2000, max_response_tokens=2000)


def call(code: str) -> str:
    """Return a turn with a call."""
    return f'<tool_call>\n{{"name": "{NAME}", "arguments": {json.dumps({ARGUMENT: code})}}}\n</tool_call>'


UNREADABLE = call("x").replace("}}", "}")
WRONG: dict[str, dict[str, Any]] = {
    "unreadable": {"turns": [UNREADABLE, "not generated"]},
    "too_long": {"turns": [call("1"), call("print('" + "long " * 100 + "')")], "settings": {"response_length": 150}},
    "too_many_turns": {"turns": [call("1"), call("2"), call("3"), call("4"), "not generated"]},
    "long_reply": {"turns": [call("print('long ' * 500)"), "not generated"], "settings": {"response_length": 150}},
}

# For each turn of the model, the tokens before it and of it: outside and inside LLaMA-Factory's loss.
LLAMAFACTORY = """
import json, sys
from llamafactory.data.template import TEMPLATES
from transformers import AutoTokenizer
tokenizer, template = AutoTokenizer.from_pretrained(sys.argv[2]), TEMPLATES[sys.argv[3]]
template.enable_thinking = json.loads(sys.argv[4])
roles = {"human": "user", "gpt": "assistant", "function_call": "function", "observation": "observation"}
for row in json.load(open(sys.argv[1])):
    turns = [{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
    print("SEEN", json.dumps(template.encode_multiturn(tokenizer, turns, row["system"], row["tools"])))
"""

Pairs = list[tuple[list[int], list[int]]]


@dataclass(frozen=True)
class Mode:
    """A tokenizer, and how its chat template is used."""

    name: str
    published: str | None
    """The package of the tokenizer (tests/tokenizers); None: one trained on the rows."""
    template: str = "qwen"
    """LLaMA-Factory's."""
    thinking: bool = True
    thought: str = ""
    """Before every turn of the model without a thought."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the chat template."""
        return {} if self.thinking else {"enable_thinking": False}


EMPTY_THOUGHT = "<think>\n\n</think>\n\n"
MODES = [
    Mode("trained", None),
    Mode("qwen2_5", "qwen2_5"),
    Mode("qwen3", "qwen3", "qwen3", thought=EMPTY_THOUGHT),
    Mode("qwen3 without thinking", "qwen3", "qwen3", thinking=False),
]


@dataclass(frozen=True)
class Conversation:
    """A conversation of SFT."""

    mode: str
    """The mode of the tool."""
    row: SftRow
    pairs: Pairs
    """Its tokens in LLaMA-Factory."""

    @property
    def prompt(self) -> list[dict[str, str]]:
        """Return the prompt of an RL row."""
        assert self.row.system
        return [{"role": "system", "content": self.row.system}, {"role": "user", "content": self.row.conversations[0].value}]


@dataclass(frozen=True)
class Lesson:
    """All conversations, and the model."""

    conversations: Sequence[Conversation]
    model: Path
    tokenizer: Mode


def make_rows() -> list[tuple[str, SftRow]]:
    """Return conversations with one call and with several, each with its mode of the tool."""
    found = [
        ("stateless", row) for name in ("apps", "humaneval", "leetcode") for row in convert_example(name, "sft", tool=NAME).rows
    ]
    found += [("stateless", row) for row in convert_example("gsm8k", "sft", tool=NAME).rows]
    options = {"tool": NAME, "stateful": True}
    found += [("stateful", row) for row in convert([Source("gsm8k", PRODUCTS, limit=5, options=options)], "sft").rows]
    return [(mode, row) for mode, row in found if isinstance(row, SftRow)]


@pytest.fixture(scope="module", params=MODES, ids=lambda mode: mode.name)
def lesson(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    trainer_python: Callable[[str], Path],
    real_model: Callable[[str], Path],
) -> Lesson:
    mode: Mode = request.param
    like = {} if mode.published is None else {"like": str(real_model(mode.published))}
    folder, python = tmp_path_factory.mktemp("lesson"), trainer_python("llamafactory")
    modes, rows = zip(*make_rows(), strict=True)
    write_rows(folder / "rows.parquet", rows, "sft")
    config = {"make": "qwen2", **SIZES, **like, "rows": [str(folder / "rows.parquet")], "output": str(folder / "model")}
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run([python, "-m", "pipelines.models.tiny", folder / "config.json"], cwd=ROOT, check=True)
    (folder / "rows.json").write_text(json.dumps(pq.read_table(folder / "rows.parquet").to_pylist()))
    argv: list[Path | str] = [python, "-c", LLAMAFACTORY, folder / "rows.json", folder / "model"]
    argv += [mode.template, json.dumps(mode.thinking)]
    done = subprocess.run(argv, cwd=ROOT, text=True, capture_output=True, check=True)
    seen = [json.loads(line.removeprefix("SEEN ")) for line in done.stdout.splitlines() if line.startswith("SEEN ")]
    return Lesson([Conversation(*each) for each in zip(modes, rows, seen, strict=True)], folder / "model", mode)


@pytest.fixture(scope="module")
def outcomes(
    lesson: Lesson, verl_python: Path, verl_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Return the outcomes of the conversations, and of some that fail."""
    folder = tmp_path_factory.mktemp("talk")
    for mode in ("stateless", "stateful"):
        stage = tool_stage(stateful=mode == "stateful", max_turns=4)
        keys = {"data": {"apply_chat_template_kwargs": lesson.tokenizer.arguments}}
        rendered = render(stage.model_copy(update={"rollout": LENGTHS, "verl": keys}))
        (folder / mode).mkdir()
        (folder / mode / "tool.yaml").write_text(rendered.files["tool.yaml"])
        (folder / "train.yaml").write_text(rendered.files["train.yaml"])
    conversations = [
        # Without the newline after the end of a turn, which the template adds.
        {"mode": each.mode, "prompt": each.prompt, "turns": [own[:-1] for _, own in each.pairs]}
        for each in lesson.conversations
    ]
    prompt = lesson.conversations[0].prompt
    conversations += [{"mode": "stateful", "prompt": prompt, **each} for each in WRONG.values()]
    (folder / "conversations.json").write_text(json.dumps(conversations))
    lines = run_probe(verl_python, verl_environment, PROBE, folder, lesson.model)
    return {"lesson": lines[: len(lesson.conversations)], **dict(zip(WRONG, lines[len(lesson.conversations) :], strict=True))}


def test_agent_loop_has_the_tokens_of_sft(lesson: Lesson, outcomes: dict[str, Any]) -> None:
    assert len(lesson.conversations) >= 14
    for each, outcome in zip(lesson.conversations, outcomes["lesson"], strict=True):
        (asked, _), *_ = each.pairs
        assert outcome["prompt"] == asked
        tokens = [token for pair in each.pairs for part in pair for token in part]
        newline = tokens[-1]
        assert outcome["prompt"] + outcome["response"] + [newline] == tokens
        # The newline after the end of a turn is in LLaMA-Factory's loss, but not in verl's.
        own = [part is learned for pair in each.pairs for part in pair for learned in [pair[1]] for _ in part]
        ends = {place for place in range(len(tokens)) if own[place] and not (own[place + 1 : place + 2] or [False])[0]}
        learned = [int(mine and place not in ends) for place, mine in enumerate(own)]
        assert outcome["mask"] + [0] == learned[len(asked) :]


def test_docs_page_shows_a_response(lesson: Lesson, outcomes: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "interpreter.md").read_text(encoding="utf-8")
    first = [each.mode for each in lesson.conversations].index("stateful")
    # The page shows a model that does not reason.
    text = outcomes["lesson"][first]["text"].replace(EMPTY_THOUGHT, "")
    assert f"```text\n{text}\n```" in page
    assert lesson.conversations[first].row.problem in page


def test_usage_and_last_turn(lesson: Lesson, outcomes: dict[str, Any]) -> None:
    for each, outcome in zip(lesson.conversations, outcomes["lesson"], strict=True):
        calls = sum(turn.speaker == "function_call" for turn in each.row.conversations)
        account = outcome["account"]
        assert account["last_turn"] == lesson.tokenizer.thought + each.row.conversations[-1].value
        assert {name: account[name] for name in ("calls", "malformed", "cut", "errors")} == {
            "calls": calls,
            "malformed": 0,
            "cut": 0,
            "errors": 0,
        }
        assert outcome["turns"] == 2 + 2 * calls


def test_unreadable_call_ends_the_response(outcomes: dict[str, Any]) -> None:
    outcome = outcomes["unreadable"]
    account = outcome["account"]
    assert (account["calls"], account["malformed"], account["cut"]) == (1, 1, 0)
    assert account["last_turn"] == UNREADABLE
    assert set(outcome["mask"]) == {1}


def test_call_at_the_end_of_a_response_is_not_run(outcomes: dict[str, Any]) -> None:
    for name, calls in (("too_long", 1), ("too_many_turns", 3)):
        account = outcomes[name]["account"]
        assert (name, account["calls"], account["cut"], account["malformed"]) == (name, calls, 1, 0)
    assert len(outcomes["too_long"]["response"]) == WRONG["too_long"]["settings"]["response_length"]


def test_reply_that_does_not_fit_is_dropped(outcomes: dict[str, Any]) -> None:
    outcome = outcomes["long_reply"]
    assert outcome["account"]["calls"] == 1
    assert set(outcome["mask"]) == {1}, "the response ends with the call"

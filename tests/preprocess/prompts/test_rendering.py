"""Conversations as messages and as tokens."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from preprocess.jobs.dataset_info import make_dataset_info
from preprocess.prompts.rendering import ConversationError, cut, render_pairs, to_messages, to_tools
from preprocess.rows import SftRow, Turn
from rewards.parsing.call_turns import join_call, join_results
from tests import ROOT
from tests.rows import make_tiny_model, write_rows

CALL = json.dumps({"name": "run", "arguments": {"code": "print(1)"}})


def row(*turns: tuple[str, str], system: str | None = None, tools: list[Any] | None = None) -> dict[str, Any]:
    conversations = [{"from": speaker, "value": value} for speaker, value in turns]
    return {"conversations": conversations, "system": system, "tools": json.dumps(tools) if tools else None}


class Tokenizer:
    """A tokenizer that renders `role:content` lines, with a token per character."""

    def __init__(self, *, forgetful: bool = False, deaf: bool = False) -> None:
        self.forgetful, self.deaf = forgetful, deaf

    def apply_chat_template(self, messages: list[Any], *, add_generation_prompt: bool, **_: Any) -> str:
        if self.deaf:
            return str(messages[0]["content"])
        if any(message["content"] == "refuse" for message in messages):
            raise ValueError("no such word\nand more")
        lines = [
            # Templates of reasoning models drop earlier thoughts when the user continues.
            f"{message['role']}:{'' if self.forgetful and place < len(messages) - 1 else message['content']}\n"
            for place, message in enumerate(messages)
        ]
        return "".join(lines) + ("assistant:" if add_generation_prompt else "")

    def encode(self, text: str, **_: Any) -> list[int]:
        return [ord(letter) for letter in text]


def test_roles_and_tool_calls() -> None:
    thought = "<think>\nhm\n</think>\n\n"
    made = to_messages(
        row(("human", "f?"), ("function_call", thought + CALL), ("observation", "1"), ("gpt", "1"), system="Be.")
    )
    assert [message["role"] for message in made] == ["system", "user", "assistant", "tool", "assistant"]
    assert made[2]["content"] == thought.removesuffix("\n")
    assert made[2]["tool_calls"] == [{"type": "function", "function": {"name": "run", "arguments": {"code": "print(1)"}}}]
    two = to_messages(row(("human", "f?"), ("function_call", f"[{CALL}, {CALL}]")))
    assert len(two[1]["tool_calls"]) == 2


def test_text_beside_calls_and_results_of_parallel_calls() -> None:
    called = join_call("I run it.", f"[{CALL}, {CALL}]")
    messages = to_messages(
        row(("human", "f?"), ("function_call", called), ("observation", join_results(["1", "2"])), ("gpt", "1"))
    )
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert messages[1]["content"] == "I run it." and len(messages[1]["tool_calls"]) == 2
    assert [message["content"] for message in messages[2:4]] == ["1", "2"]


def test_bare_tool_schema_is_wrapped() -> None:
    wrapped = {"type": "function", "function": {"name": "run"}}
    assert to_tools(row(("human", "a"), ("gpt", "b"), tools=[{"name": "run"}, wrapped])) == [wrapped, wrapped]
    assert to_tools(row(("human", "a"), ("gpt", "b"))) is None


def test_each_answer_follows_its_generation_prompt() -> None:
    pairs = render_pairs(Tokenizer(), row(("human", "a"), ("gpt", "b"), ("human", "c"), ("gpt", "d")))
    assert ["".join(map(chr, ids)) for pair in pairs for ids in pair] == [
        "user:a\nassistant:",
        "b\n",
        "user:c\nassistant:",
        "d\n",
    ]


@pytest.mark.parametrize(
    ("tokenizer", "words", "message"),
    [
        (Tokenizer(), ("refuse", "b", "c", "d"), "the chat template does not render it: no such word"),
        (Tokenizer(deaf=True), ("a", "b", "c", "d"), "the chat template leaves out turn 2"),
        (
            Tokenizer(forgetful=True),
            ("a", "b", "c", "d"),
            "the chat template changes the text before turn 2 when that turn follows",
        ),
    ],
)
def test_row_that_does_not_render_turn_by_turn_is_an_error(tokenizer: Tokenizer, words: tuple[str, ...], message: str) -> None:
    turns = zip(("human", "gpt", "human", "gpt"), words, strict=True)
    with pytest.raises(ConversationError) as caught:
        render_pairs(tokenizer, row(*turns))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("lengths", "limit", "kept"),
    [
        ([(10, 4)], 14, [(10, 4)]),
        ([(10, 4)], 12, [(8, 4)]),  # truncates the prompt
        ([(4, 10)], 12, [(4, 8)]),  # truncates the answer
        ([(10, 10)], 10, [(5, 5)]),
        ([(100, 3)], 10, [(7, 3)]),
        ([(6, 4), (6, 4)], 14, [(6, 4), (3, 1)]),
        ([(6, 4), (6, 4)], 10, [(6, 4)]),  # drops the second pair
    ],
)
def test_truncation_matches_llamafactory(lengths: list[tuple[int, int]], limit: int, kept: list[tuple[int, int]]) -> None:
    """The numbers are those of `infer_seqlen` of LLaMA-Factory 0.9.5; another test compares whole rows."""
    pairs = [([1] * prompt, [2] * answer) for prompt, answer in lengths]
    assert [(len(prompt), len(answer)) for prompt, answer in cut(pairs, limit)] == kept


TOOL = {
    "type": "function",
    "function": {"name": "run", "description": "Runs “code”.", "parameters": {"type": "object", "properties": {}}},
}
THOUGHT = "<think>\nlet me see\n</think>\n\n"
ROWS = [
    SftRow("a", (Turn("human", "What is f(1)?"), Turn("gpt", "It is 1."))),
    SftRow(
        "b", (Turn("human", "f?"), Turn("gpt", "\n\n1"), Turn("human", " and g?\n"), Turn("gpt", "  2 ")), system="Be brief."
    ),
    SftRow(
        "c",
        (Turn("human", "f?"), Turn("function_call", CALL), Turn("observation", "[1]\n"), Turn("gpt", "It is 1.")),
        system="Be brief.",
        tools=json.dumps([TOOL]),
    ),
    SftRow(
        "d",
        (Turn("human", "f?"), Turn("function_call", f"[{CALL}, {CALL}]"), Turn("observation", "1"), Turn("gpt", "1")),
        tools=json.dumps([TOOL["function"]]),
    ),
    SftRow("e", (Turn("human", "f?"), Turn("function_call", THOUGHT + CALL)), tools=json.dumps([TOOL])),
    SftRow(
        "i",
        (
            Turn("human", "f?"),
            Turn("function_call", join_call("I run it.", f"[{CALL}, {CALL}]")),
            Turn("observation", join_results(["1", "2\n"])),
            Turn("gpt", "1 and 2."),
        ),
        tools=json.dumps([TOOL]),
    ),
    SftRow("j", (Turn("human", "f?"), Turn("function_call", join_call(f"{THOUGHT}I run it.", CALL)))),
    SftRow("k", (Turn("human", "f?"), Turn("function_call", join_call("", CALL.replace("print", "<tool_call></tool_call>"))))),
    SftRow("f", (Turn("human", "How so? " * 200), Turn("gpt", "So."))),
    SftRow("g", (Turn("human", "How?"), Turn("gpt", "So and so. " * 200), Turn("human", "Oh?"), Turn("gpt", "Yes."))),
    SftRow("h", (Turn("human", "How so? " * 200), Turn("gpt", "So and so. " * 200))),
]

LLAMAFACTORY = """
import json, sys
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
folder, limit = sys.argv[1], int(sys.argv[2])
model, data, training, _, _ = get_train_args({
    "model_name_or_path": f"{folder}/model", "stage": "sft", "do_train": True, "template": "qwen", "cutoff_len": limit,
    "dataset_dir": folder, "dataset": "train", "output_dir": f"{folder}/out", "overwrite_cache": True, "use_cpu": True,
})
tokenizer = load_tokenizer(model)
template = get_template_and_fix_tokenizer(tokenizer["tokenizer"], data)
for row in get_dataset(template, model, data, training, stage="sft", **tokenizer)["train_dataset"]:
    print("ROW", json.dumps([row["input_ids"], [int(label != -100) for label in row["labels"]]]))
"""

VERL = """
import json, sys
from omegaconf import OmegaConf
from transformers import AutoTokenizer
from pipelines.trainers.verl.plugin.sft_rows import SftRows
folder, limit = sys.argv[1], int(sys.argv[2])
file = f"{folder}/train.parquet"
tokenizer = AutoTokenizer.from_pretrained(f"{folder}/model")
def rows(**changes):
    given = {"max_length": limit, "val_files": None, "train_batch_size": 5, "custom_cls": {"seed": 17}, **changes}
    dataset = SftRows(file, tokenizer, OmegaConf.create(given))
    return [[row[key].tolist() for key in ("input_ids", "loss_mask")] for row in (dataset[n] for n in range(len(dataset)))]
validation = rows(val_files=file)
for row in validation:
    print("ROW", json.dumps(row))
train, other = rows(), rows(custom_cls={"seed": 18})
real = sorted(validation[:11])
print("TRAIN", json.dumps([sorted(train) == real, sorted(other) == real, train != other, train == rows()]))
"""


def run(python: Path, program: str, folder: Path, limit: int) -> list[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "DISABLE_VERSION_CHECK": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "TMPDIR": str(folder),
        "VERL_USE_EXTERNAL_PLUGINS": "none",
    }
    done = subprocess.run([python, "-c", program, folder, str(limit)], env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.nightly
def test_verl_and_llamafactory_train_on_the_same_tokens(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    """Compare the tokens and loss masks of each row, with and without tools, complete and truncated."""
    write_rows(tmp_path / "train.parquet", ROWS, "sft")
    (tmp_path / "dataset_info.json").write_text(json.dumps(make_dataset_info()))
    make_tiny_model(trainer_python("verl"), tmp_path / "train.parquet")
    limit = 400
    theirs, ours = (
        run(trainer_python(trainer), program, tmp_path, limit)
        for trainer, program in (("llamafactory", LLAMAFACTORY), ("verl", VERL))
    )
    expected, found = ([json.loads(line[4:]) for line in lines if line.startswith("ROW ")] for lines in (theirs, ours))
    assert len(expected) == len(ROWS)
    for place, (ids, mask) in enumerate(expected):
        assert found[place] == [ids, mask], f"row {place}"
    assert [len(ids) == limit for ids, _ in expected] == [False] * 8 + [True] * 3
    assert all(0 < sum(mask) < len(ids) for ids, mask in expected)
    # Three batches of five: the padding rows of the last one are not in the loss.
    assert [sum(mask) > 0 for _, mask in found] == [True] * 11 + [False] * 4
    assert ours[-1] == "TRAIN [true, true, true, true]", "all rows, in an order that depends on the seed"

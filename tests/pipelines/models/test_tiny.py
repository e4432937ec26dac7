"""The tiny model: its configuration, and the model folder made in a trainer's environment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InputError
from pipelines.models.tiny import main, read_config, read_texts
from preprocess.rows import Message, RlRow, SftRow, Turn
from tests import ROOT
from tests.rows import write_rows

GIVEN: dict[str, Any] = {
    "make": "qwen2",
    "vocabulary": 400,
    "hidden_size": 64,
    "layers": 2,
    "heads": 2,
    "max_tokens": 256,
    "seed": 17,
    "rows": [],
    "output": "model",
}


def _write_rows(folder: Path) -> list[str]:
    sft = SftRow("p", (Turn("human", "def f(a): return a"), Turn("gpt", "assert f(1) == 1")))
    rl = RlRow(problem="p", id="p", data_source="d", prompt=(Message("user", "complete"),), ground_truth={"result": "[1, 2]"})
    write_rows(folder / "sft.parquet", [sft], "sft")
    write_rows(folder / "rl.parquet", [rl], "rl")
    return [str(folder / "sft.parquet"), str(folder / "rl.parquet")]


def test_tokenizer_texts(tmp_path: Path) -> None:
    texts = list(read_texts([Path(path) for path in _write_rows(tmp_path)]))
    assert {"def f(a): return a", "assert f(1) == 1", "complete", '{"result": "[1, 2]"}'} <= set(texts)


def test_wrong_configuration() -> None:
    with pytest.raises(InputError, match=r"tiny model: .* 'width'"):
        read_config({**GIVEN, "width": 3})
    with pytest.raises(InputError, match=r"tiny model: .* 'seed'"):
        read_config({name: value for name, value in GIVEN.items() if name != "seed"})


def test_missing_rows_file() -> None:
    with pytest.raises(InputError, match=r"rows file nowhere\.parquet is missing"):
        list(read_texts([Path("nowhere.parquet")]))


def test_unreadable_configuration_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


CHECK = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
user = {"role": "user", "content": "hi"}
tool = {"type": "function", "function": {"name": "run", "parameters": {"type": "object", "properties": {}}}}
call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "run", "arguments": {"a": 1}}}]}
render = lambda messages, **more: tokenizer.apply_chat_template(messages, tokenize=False, **more)
print(json.dumps({
    "kind": type(model).__name__, "dtype": str(model.dtype), "vocabulary": [len(tokenizer), model.config.vocab_size],
    "eos": tokenizer.eos_token, "round": tokenizer.decode(tokenizer("x = 12\\n    y").input_ids),
    "plain": render([user], add_generation_prompt=True),
    "tools": render([user, call, {"role": "tool", "content": "2"}], tools=[tool]),
}))
"""


@pytest.mark.nightly
def test_same_configuration_gives_the_same_model(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    python = trainer_python("llamafactory")
    config = tmp_path / "config.json"
    output = tmp_path / "model"
    config.write_text(json.dumps({**GIVEN, "rows": _write_rows(tmp_path), "output": str(output)}))
    made = []
    for _ in range(2):
        subprocess.run([python, "-m", "pipelines.models.tiny", str(config)], cwd=ROOT, check=True)
        made.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert made[0] == made[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "model",
        "notes.json",
        "rl.parquet",
        "sft.parquet",
    ]

    done = subprocess.run([python, "-c", CHECK, str(output)], check=True, capture_output=True, text=True)
    seen = json.loads(done.stdout)
    assert (seen["kind"], seen["dtype"], seen["eos"]) == ("Qwen2ForCausalLM", "torch.float32", "<|im_end|>")
    assert seen["vocabulary"][0] == seen["vocabulary"][1] <= 400
    assert seen["round"] == "x = 12\n    y"
    assert seen["plain"] == (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert '<tool_call>\n{"name": "run", "arguments": {"a": 1}}\n</tool_call><|im_end|>\n' in seen["tools"]
    assert "<|im_start|>user\n<tool_response>\n2\n</tool_response><|im_end|>\n" in seen["tools"]


REFERENCE = """
import json, sys
from pathlib import Path
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from pipelines.models.tiny import main, read_config
given, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
seen = []
for name, change in json.loads(sys.argv[3]).items():
    config = folder / f"{name}.json"
    config.write_text(json.dumps({**given, **change, "output": str(folder / name)}))
    assert main([str(config)]) == 0
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder / name), AutoTokenizer.from_pretrained(folder / name)
    shape = model.config
    sizes = [shape.vocab_size, shape.hidden_size, shape.num_hidden_layers, shape.num_attention_heads]
    ends = model.generation_config.eos_token_id
    notes = json.loads(config.with_name("notes.json").read_text())
    seen.append([type(model).__name__, sizes, len(tokenizer), tokenizer.chat_template == "own", ends, notes])
    if name == "large":
        # another template and other end tokens than the tiny model's
        tokenizer.chat_template = "own"
        tokenizer.save_pretrained(folder / name)
        model.generation_config.eos_token_id = [0, 2, 5]
        model.save_pretrained(folder / name)
print("SEEN" + json.dumps(seen))
"""


@pytest.mark.nightly
def test_reference_model_is_copied_if_available(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    changes = {
        "large": {"make": "qwen3", "layers": 1, "heads": 1, "vocabulary": 500},
        "like": {"make": "llama", "like": str(tmp_path / "large")},
        "llama": {"make": "llama", "like": "owner/no-such-model"},
        "lost": {"make": "qwen2", "like": str(tmp_path / "nowhere")},
    }
    given = {**GIVEN, "rows": _write_rows(tmp_path)}
    done = subprocess.run(
        [
            trainer_python("llamafactory"),
            "-W",
            "ignore",
            "-c",
            REFERENCE,
            json.dumps(given),
            str(tmp_path),
            json.dumps(changes),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty")},
    )
    large, like, llama, lost = json.loads(done.stdout.partition("SEEN")[2])
    words = large[2]
    assert large[:4] == ["Qwen3ForCausalLM", [words, 64, 1, 1], words, False]
    # family, tokenizer, template and end tokens are those of the reference model, the sizes are the tiny ones
    assert like[:5] == ["Qwen3ForCausalLM", [words, 64, 2, 2], words, True, [0, 2, 5]]
    assert like[5] == [f"architecture (qwen3), tokenizer and chat template are those of {tmp_path / 'large'}"]
    assert llama[0] == "LlamaForCausalLM"
    assert llama[5][0].startswith(
        "owner/no-such-model is not in the hub's cache, and the hub does not answer: the tiny model is a llama"
    )
    assert lost[0] == "Qwen2ForCausalLM" and f"{tmp_path / 'nowhere'} cannot be read" in lost[5][0]

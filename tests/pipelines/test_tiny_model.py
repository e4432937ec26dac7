"""The tiny model: its configuration here, its making in a trainer's environment."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InputError
from pipelines.tiny_model import main, read_config, read_texts
from preprocess.rows import Message, RlRow, SftRow, Turn
from tests.rows import write_rows

ROOT = Path(__file__).resolve().parents[2]
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


def test_the_tokenizer_sees_prompts_answers_and_ground_truths(tmp_path: Path) -> None:
    texts = list(read_texts([Path(path) for path in _write_rows(tmp_path)]))
    assert {"def f(a): return a", "assert f(1) == 1", "complete", '{"result": "[1, 2]"}'} <= set(texts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"make": "llama"}, "only 'qwen2' can be made"),
        ({"width": 3}, "unknown key 'width'"),
    ],
)
def test_a_mistake_in_the_configuration(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_config({**GIVEN, **change})


def test_a_missing_key() -> None:
    with pytest.raises(InputError, match="seed is missing"):
        read_config({name: value for name, value in GIVEN.items() if name != "seed"})


def test_a_missing_file_of_rows() -> None:
    with pytest.raises(InputError, match=r"rows nowhere\.parquet are not there"):
        list(read_texts([Path("nowhere.parquet")]))


def test_an_unreadable_configuration_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


@pytest.mark.smoke
def test_the_same_configuration_gives_the_same_model(tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    python = trainer_python("llamafactory")
    config = tmp_path / "config.json"
    output = tmp_path / "model"
    config.write_text(json.dumps({**GIVEN, "rows": _write_rows(tmp_path), "output": str(output)}))
    made = []
    for _ in range(2):
        subprocess.run([python, "-m", "pipelines.tiny_model", str(config)], cwd=ROOT, check=True)
        made.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert made[0] == made[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model", "rl.parquet", "sft.parquet"]

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

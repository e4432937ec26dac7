"""Published tokenizers in the trainers' environments: unchanged by either version of `transformers`, and by a tiny model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.models.token_probe import PROBES
from preprocess.converters import CONVERTERS
from tests import ROOT
from tests.tokenizers.models import make_tiny_models
from tests.tokenizers.packages import read_packages

pytestmark = pytest.mark.nightly

# The truth is the tokenizers library with the package's own file.
PROGRAM = """
import json, sys
from pathlib import Path
from tokenizers import Tokenizer
from transformers import AutoTokenizer
texts = json.loads(Path(sys.argv[1]).read_text())
for original, *folders in json.loads(sys.argv[2]):
    plain = Tokenizer.from_file(f"{original}/tokenizer.json")
    truth = [each.ids for each in plain.encode_batch(texts, add_special_tokens=False)]
    template = json.loads(Path(original, "tokenizer_config.json").read_text())["chat_template"]
    found = []
    for folder in (original, *folders):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        found += [tokenizer(texts, add_special_tokens=False)["input_ids"] == truth, tokenizer.chat_template == template]
        found += [tokenizer.eos_token, len(tokenizer) == plain.get_vocab_size()]
    print("SEEN", json.dumps(found))
"""

ENDS = {"qwen2_5": "<|im_end|>", "qwen3": "<|im_end|>", "llama3_1": "<|eot_id|>"}


def read_texts() -> list[str]:
    """Return programs, prompts and special tokens."""
    special = "<|im_start|>user\n1<|im_end|>\n<think>\n\n</think>\n\n<tool_call>\n{}\n</tool_call><|eot_id|>"
    files = sorted(
        {path for each in CONVERTERS.values() for path in [each.example, *each.example.rglob("*")] if path.is_file()}
    )
    examples = [file.read_text(encoding="utf-8") for file in files if file.suffix in (".jsonl", ".json", ".py")]
    return [*PROBES, special, *examples]


def test_tokens_are_those_of_the_file(
    tmp_path: Path, trainer_python: Callable[[str], Path], real_model: Callable[[str], Path]
) -> None:
    (tmp_path / "texts.json").write_text(json.dumps(read_texts()))
    trainers = ("llamafactory", "verl")
    originals = {name: real_model(name) for name in read_packages()}
    made = [make_tiny_models(trainer_python(trainer), originals, tmp_path / trainer) for trainer in trainers]
    folders = [[str(original), *(str(each[name]) for each in made)] for name, original in originals.items()]
    for trainer in trainers:
        argv: list[str | Path] = [trainer_python(trainer), "-c", PROGRAM, tmp_path / "texts.json", json.dumps(folders)]
        done = subprocess.run(argv, cwd=ROOT, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr[-2000:]
        seen = [json.loads(line.removeprefix("SEEN ")) for line in done.stdout.splitlines() if line.startswith("SEEN ")]
        assert seen == [[True, True, ENDS[name], True] * 3 for name in read_packages()], trainer

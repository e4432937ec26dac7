"""A model is handed over only when it loads, renders a prompt, is finite and was trained; in a trainer's environment."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.nightly


# One process for all cases: importing transformers takes seconds, each case a few hundredths.
CASES = """
import json, shutil, sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
from pipelines.run import handover

folder = Path(sys.argv[1])
before, trained = folder / "before", folder / "trained"

def change(path, edit):
    weights = load_file(path / "model.safetensors")
    edit(weights)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})

def poison(weights): weights["model.norm.weight"][0] = float("nan")
def drop(weights): del weights["model.layers.0.mlp.up_proj.weight"]
def rename(path):
    template = path / "chat_template.jinja"
    template.write_text(template.read_text().replace("add_generation_prompt", "no_such_flag"))

def other_words(path):
    # what a tokenizer of a class of its own is, and transformers 5.9 overrules
    config = json.loads((path / "tokenizer_config.json").read_text())
    config["tokenizer_class"] = "TokenizersBackend"
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))

cases = {
    "good": lambda path: None,
    "untrained": lambda path: shutil.copy(before / "model.safetensors", path / "model.safetensors"),
    "not finite": lambda path: change(path, poison),
    "weights missing": lambda path: change(path, drop),
    "no weights": lambda path: (path / "model.safetensors").unlink(),
    "no tokenizer": lambda path: (path / "tokenizer.json").write_text("{}"),
    "no template": lambda path: (path / "chat_template.jinja").unlink(),
    "template without a prompt": rename,
    "another tokenizer elsewhere": other_words,
    "half a file": lambda path: (path / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes()[:5000]),
}

class Runs:
    def __reduce__(self): return exec, ("open('ran', 'w')",)

def save_bin(name, weights, files=1):
    # The initial model with PyTorch's own files.
    shutil.copytree(before, folder / name, ignore=shutil.ignore_patterns("*.safetensors"))
    for number in range(files):
        part = "" if files == 1 else f"-{number + 1:05}-of-{files:05}"
        torch.save(dict(list(weights.items())[number::files]), folder / name / f"pytorch_model{part}.bin")
    return folder / name

cases |= dict.fromkeys(("good, from .bin", "good, from .bin shards", "from no weights", "from a program"), lambda path: None)
cases["untrained, from .bin"] = cases["untrained"]
weights = load_file(before / "model.safetensors")
befores = {
    "good, from .bin": save_bin("bin", weights),
    "good, from .bin shards": save_bin("shards", weights, 3),
    "untrained, from .bin": folder / "bin",
    "from no weights": save_bin("none", {}, 0),
    "from a program": save_bin("program", {"model.norm.weight": Runs()}),
}
for name, spoil in cases.items():
    exported = folder / "cases" / name
    shutil.copytree(trained, exported)
    spoil(exported)
    config = folder / "handover.json"
    initial = str(befores.get(name, before))
    settings = {"exported": str(exported), "before": initial, "model": str(exported / "model"), "readers": [sys.argv[2]]}
    config.write_text(json.dumps(settings))
    print("CASE", json.dumps([name, handover.main([str(config)]), (exported / "model").exists()]), flush=True)
assert not Path("ran").exists()
"""


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]
) -> dict[str, tuple[int, bool, str]]:
    """Case -> exit status, whether a model was handed over, and what was said."""
    folder = tmp_path_factory.mktemp("handover")
    python = trainer_python("llamafactory")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
    for name, seed in (("before", 1), ("trained", 2)):
        rows = folder / "rows.parquet"
        make_rows(rows)
        settings = {"make": "qwen2", "vocabulary": 700, "hidden_size": 64, "layers": 1, "heads": 2, "max_tokens": 128}
        (folder / "model.json").write_text(
            json.dumps(settings | {"seed": seed, "rows": [str(rows)], "output": str(folder / name)})
        )
        subprocess.run(
            [python, "-m", "pipelines.models.tiny", folder / "model.json"], check=True, env=environment, capture_output=True
        )
    done = subprocess.run(
        [python, "-c", CASES, folder, trainer_python("verl")], env=environment, text=True, capture_output=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder)
    lines = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("CASE ")]
    reasons = [line.removeprefix("handover: ") for line in done.stderr.splitlines() if line.startswith("handover: ")]
    said = iter(reasons)
    return {name: (status, there, next(said) if status else "") for name, status, there in lines}


def make_rows(path: Path) -> None:
    from preprocess.rows import SftRow, Turn
    from tests.rows import write_rows

    programs = (ROOT / "recipes" / "data" / "programs.py").read_text()
    write_rows(path, [SftRow("f", (Turn("human", "f(1)?"), Turn("gpt", programs)))], "sft")


@pytest.mark.parametrize("case", ["good", "good, from .bin", "good, from .bin shards"])
def test_a_trained_model_is_handed_over(case: str, outcomes: dict[str, tuple[int, bool, str]]) -> None:
    assert outcomes[case] == (0, True, "")


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("untrained", "training changed nothing"),
        ("not finite", "model.norm.weight has values that are not finite"),
        ("weights missing", "1 of its weights are not in its files: model.layers.0.mlp.up_proj.weight"),
        ("no weights", "no *.safetensors file"),
        ("no tokenizer", "its tokenizer does not load"),
        ("no template", "no chat template"),
        ("template without a prompt", "ignores add_generation_prompt"),
        ("half a file", "it does not load"),
        ("untrained, from .bin", "training changed nothing"),
        ("from no weights", "the initial model, has neither *.safetensors nor pytorch_model*.bin files"),
        ("from a program", "pytorch_model.bin, of the initial model, cannot be read: "),
        ("another tokenizer elsewhere", "its tokenizer differs in the next stage's environment"),
    ],
)
def test_anything_else_is_refused_with_a_reason(case: str, reason: str, outcomes: dict[str, tuple[int, bool, str]]) -> None:
    status, there, said = outcomes[case]
    assert (status, there) == (1, False)
    assert reason in said

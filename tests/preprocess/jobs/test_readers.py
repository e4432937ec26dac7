"""`datasets`, verl and LLaMA-Factory read all rows of our files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess.jobs.dataset_info import make_dataset_info
from preprocess.prompts.counting import Stage
from preprocess.rows import Message, RlRow, Row, SftRow, Shape, Turn
from tests import ROOT
from tests.rows import make_tiny_model, write_rows

TOOL = {"type": "function", "function": {"name": "python", "description": "Runs code.", "parameters": {"type": "object"}}}
CALL = json.dumps({"name": "python", "arguments": {"code": "print(1)"}})


def rl(number: int, *messages: Message, tools: tuple[str, ...] = ()) -> RlRow:
    truth = {"inputs": [[number]]}
    return RlRow(problem=str(number), id=f"row/{number}", data_source="d", prompt=messages, ground_truth=truth, tools=tools)


QUESTION = Message("user", "What is f(1)?")
FILES: dict[str, tuple[Shape, list[Row]]] = {
    # The optional columns of the first file of each shape have only nulls or empty lists.
    "rl": ("rl", [rl(number, QUESTION) for number in range(3)]),
    "rl-tools": ("rl", [rl(number, Message("system", "Be brief. " * 20), QUESTION, tools=("python",)) for number in range(4)]),
    "train": ("sft", [SftRow("a", (Turn("human", f"What is f({n})?"), Turn("gpt", "It is 1."))) for n in range(3)]),
    "validation": (
        "sft",
        [
            SftRow("b", (Turn("human", "f(1)?"), Turn("gpt", "1."), Turn("human", "f(2)?"), Turn("gpt", "2.")), "Be brief."),
            SftRow(
                "c",
                (Turn("human", "f(1)?"), Turn("function_call", CALL), Turn("observation", "1"), Turn("gpt", "It is 1.")),
                tools=json.dumps([TOOL]),
            ),
        ],
    ),
}


def write(folder: Path) -> None:
    for name, (shape, rows) in FILES.items():
        write_rows(folder / f"{name}.parquet", rows, shape)
    (folder / "dataset_info.json").write_text(json.dumps(make_dataset_info()))


def find_types(kind: pa.DataType) -> list[pa.DataType]:
    fields = [kind.field(place).type for place in range(kind.num_fields)]
    return [kind, *(each for field in fields for each in find_types(field))]


@pytest.mark.parametrize("name", FILES)
def test_schema_is_portable(name: str, tmp_path: Path) -> None:
    """It has only types that all versions read alike; a file of nulls has the same types."""
    write(tmp_path)
    path = tmp_path / f"{name}.parquet"
    assert pq.read_metadata(path).metadata is None, "no `huggingface` or `ARROW:schema`"
    schema = pq.read_schema(path)
    assert schema == pq.read_schema(tmp_path / ("rl.parquet" if FILES[name][0] == "rl" else "train.parquet"))
    plain = (pa.types.is_string, pa.types.is_int64, pa.types.is_list, pa.types.is_struct)
    for column in schema:
        for kind in find_types(column.type):
            assert any(is_one(kind) for is_one in plain), f"{column.name}: {kind}"


DATASETS = """
import sys
from datasets import concatenate_datasets, load_dataset
folder = sys.argv[1]
for one, other in (("rl", "rl-tools"), ("train", "validation")):
    paths = [f"{folder}/{name}.parquet" for name in (one, other)]
    apart = [load_dataset("parquet", data_files=path)["train"] for path in paths]
    assert apart[0].features == apart[1].features
    mixed = load_dataset("parquet", data_files=paths)["train"]
    joined = concatenate_datasets(apart)
    assert list(mixed) == list(joined)
    output(len(apart[0]), len(apart[1]), len(mixed))
"""

VERL = """
import sys
from omegaconf import OmegaConf
from transformers import AutoTokenizer
from verl.utils.dataset.rl_dataset import RLHFDataset
folder, model, limit = sys.argv[1:4]
for most in (1024, int(limit)):
    settings = {"max_prompt_length": most, "filter_overlong_prompts": True, "filter_overlong_prompts_workers": 1}
    config = OmegaConf.create({**settings, "cache_dir": folder, "return_raw_chat": True})
    files = [f"{folder}/{name}.parquet" for name in ("rl", "rl-tools")]
    rows = RLHFDataset(data_files=files, tokenizer=AutoTokenizer.from_pretrained(model), config=config)
    output(len(rows), [row["agent_name"] for row in rows], rows[-1]["raw_prompt"][-1])
"""

LLAMAFACTORY = """
import sys
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
folder, model = sys.argv[1:3]
settings = {"model_name_or_path": model, "stage": "sft", "do_train": True, "template": "qwen", "dataset_dir": folder,
            "dataset": "train,validation", "eval_dataset": "validation", "output_dir": folder + "/out", "use_cpu": True,
            "cutoff_len": 1024, "report_to": "none", "overwrite_cache": True}
model_args, data_args, training_args, *_ = get_train_args(settings)
loaded = load_tokenizer(model_args)
template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
module = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)
for name in ("train_dataset", "eval_dataset"):
    rows = module[name]
    output(len(rows), [len(row["input_ids"]) for row in rows], [sum(label >= 0 for label in row["labels"]) for row in rows])
text = loaded["tokenizer"].decode(module["eval_dataset"][1]["input_ids"])
output("print(1)" in text, "Runs code." in text, "tool_response" in text)
"""

COUNTED = """
import json, sys
from preprocess.prompts.counting import Stage, measure
for lengths in measure(Stage(**json.loads(sys.argv[1]))).values():
    output(*lengths.tokens)
"""

PRELUDE = "import json\ndef output(*values): print('VALUES', json.dumps(values), flush=True)\n"

Run = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def run(trainer_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run programs in a trainer's environment and return the values that they print."""
    cache = tmp_path_factory.mktemp("cache")

    def run_program(trainer: str, program: str, *arguments: object) -> list[Any]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_CACHE": str(cache / trainer),
            "DISABLE_VERSION_CHECK": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "VERL_USE_EXTERNAL_PLUGINS": "none",
        }
        argv = [str(trainer_python(trainer)), "-c", PRELUDE + program, *map(str, arguments)]
        done = subprocess.run(argv, env=environment, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("VALUES ")]

    return run_program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]) -> Path:
    """The files, and a tiny model with a tokenizer trained on them."""
    made = tmp_path_factory.mktemp("rows")
    write(made)
    make_tiny_model(trainer_python("llamafactory"), made / "train.parquet")
    return made


def count(run: Run, trainer: str, folder: Path, shape: Shape, *names: str) -> list[int]:
    """Return the lengths of the rows of some files, as counted before training."""
    files = {name: str(folder / f"{name}.parquet") for name in names}
    stage = Stage("one", shape, str(folder / "model"), files, str(folder / "prompts.json"))
    return [tokens for lengths in run(trainer, COUNTED, json.dumps(vars(stage))) for tokens in lengths]


@pytest.mark.nightly
@pytest.mark.parametrize("trainer", ["llamafactory", "verl"])
def test_datasets_reads_and_concatenates(trainer: str, folder: Path, run: Run) -> None:
    assert run(trainer, DATASETS, folder) == [[3, 4, 7], [3, 2, 5]]


@pytest.mark.nightly
def test_verl_drops_exactly_the_overlong_rows(folder: Path, run: Run) -> None:
    lengths = count(run, "verl", folder, "rl", "rl", "rl-tools")
    limit = sorted(lengths)[2]
    everything, some = run("verl", VERL, folder, folder / "model", limit)
    assert everything == [7, ["single_turn_agent"] * 3 + ["tool_agent"] * 4, {"role": "user", "content": QUESTION.content}]
    assert some[0] == sum(length <= limit for length in lengths) == 3


@pytest.mark.nightly
def test_llamafactory_trains_on_every_row(folder: Path, run: Run) -> None:
    train, validation, tools = run("llamafactory", LLAMAFACTORY, folder, folder / "model")
    assert (train[0], validation[0]) == (5, 2)
    assert all(labels > 0 for labels in [*train[2], *validation[2]])
    assert tools == [True, True, True], "the call, the schema and the reply are in the text"
    counted = count(run, "llamafactory", folder, "sft", "train", "validation")
    assert counted[:4] == [*train[1][:3], validation[1][0]], "without tool calls the estimate is exact"

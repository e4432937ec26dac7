"""Stand-ins for vLLM and transformers, so that evaluations run in seconds without verl's environment.

Tokens are characters. The model repeats the last message up to its first `|`; `FAKE_STEP_SECONDS` slows it down, and every
request is logged in the file `FAKE_LOG`. With `FAKE_STREAM`, it generates a token per step, of that many seconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipelines.evaluation.rendering import to_set_spec
from pipelines.evaluation.sets import EvaluationSet
from pipelines.evaluation.spec import Generation, SetSpec, Spec
from pipelines.recipe.schema import Reward
from preprocess.config import Source
from preprocess.rows import Message, RlRow
from tests.rows import write_rows

_VLLM = """
import os, time

class SamplingParams:
    def __init__(self, **given):
        self.given = given

class Made:
    pass

class Engine:
    def __init__(self):
        self.waiting = []
        self.made = {}

    def add_request(self, name, prompt, parameters):
        with open(os.environ["FAKE_LOG"], "a") as log:
            log.write(f"{''.join(map(chr, prompt['prompt_token_ids']))} {sorted(parameters.given)}\\n")
        self.waiting.append((name, prompt["prompt_token_ids"], parameters.given))

    def abort_request(self, names):
        self.waiting = [each for each in self.waiting if each[0] not in names]

    def step(self):
        if os.environ.get("FAKE_STREAM"):
            return [self.step_by_token()]
        time.sleep(float(os.environ.get("FAKE_STEP_SECONDS", 0)))
        name, prompt, given = self.waiting.pop(0)
        said = prompt[: prompt.index(ord("|"))] if ord("|") in prompt else prompt
        made = Made()
        made.token_ids = said[: given["max_tokens"]]
        made.finish_reason = "length" if len(said) > len(made.token_ids) else "stop"
        output = Made()
        output.request_id, output.finished, output.outputs = name, True, [made]
        return [output]

    def step_by_token(self):
        # One more token of the first request.
        time.sleep(float(os.environ["FAKE_STREAM"]))
        name, prompt, given = self.waiting[0]
        self.made = {name: self.made.get(name, 0) + 1}
        said = prompt[: prompt.index(ord("|"))] if ord("|") in prompt else prompt
        made, output = Made(), Made()
        made.token_ids = said[: self.made[name]]
        made.finish_reason = "length" if len(made.token_ids) == given["max_tokens"] < len(said) else "stop"
        output.request_id, output.outputs = name, [made]
        output.finished = len(made.token_ids) in (len(said), given["max_tokens"])
        if output.finished:
            self.waiting.pop(0)
        return output

class LLM:
    def __init__(self, **arguments):
        if os.environ.get("FAKE_FAILURE"):
            raise RuntimeError(os.environ["FAKE_FAILURE"])
        self.llm_engine = Engine()
"""

_TRANSFORMERS = """
class Config:
    model_type = "fake"
    max_position_embeddings = 100

    def get_text_config(self):
        return self

class Tokenizer:
    chat_template = "{{ messages }}"

    def apply_chat_template(self, messages, **options):
        if "refused" in messages[-1]["content"]:
            raise ValueError("no such role")
        return [ord(char) for char in messages[-1]["content"]]

    def decode(self, tokens, skip_special_tokens):
        return "".join(map(chr, tokens))

class AutoConfig:
    from_pretrained = staticmethod(lambda model: Config())

class AutoTokenizer:
    from_pretrained = staticmethod(lambda model: Tokenizer())
"""

REWARD = """
from rewards.registry import register

@register("same")
def same(data_source, solution_str, ground_truth, extra_info):
    if "broken" in solution_str:
        raise KeyError("broken row")
    right = float(solution_str.strip() == ground_truth.strip('"'))
    return {"score": right, "accuracy": right}
"""


def write_fakes(folder: Path) -> dict[str, str]:
    """Write the stand-ins, a model and a reward; return the variables of an evaluation's processes."""
    for name, text in (("vllm.py", _VLLM), ("transformers.py", _TRANSFORMERS)):
        (folder / "fakes").mkdir(exist_ok=True)
        (folder / "fakes" / name).write_text(text)
    (folder / "reward.py").write_text(REWARD)
    write_model(folder / "model")
    return {"PYTHONPATH": str(folder / "fakes"), "FAKE_LOG": str(folder / "requests.log")}


def write_model(folder: Path) -> Path:
    """Write what is checked of a model."""
    folder.mkdir(parents=True)
    for name, value in (("config.json", {}), ("tokenizer_config.json", {"chat_template": "{{ messages }}"})):
        (folder / name).write_text(json.dumps(value))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def make_set(folder: Path, name: str, questions: Sequence[tuple[str, str]], **options: Any) -> SetSpec:
    """Return a set of prompts with their right answers."""
    rows = [
        RlRow(problem=prompt, data_source="asked", prompt=(Message("user", prompt),), ground_truth={}, id=f"{name}-{number}")
        for number, (prompt, _) in enumerate(questions)
    ]
    path = folder / f"{name}.parquet"
    write_rows(path, rows, "rl")
    set_truths(path, [answer for _, answer in questions])
    given = EvaluationSet(
        name=name,
        data=Source(converter="verl_rows", source=str(path)),
        reward=Reward(name="same", file=str(folder / "reward.py")),
        max_prompt_tokens=60,
        max_response_tokens=20,
    )
    return msgspec.structs.replace(to_set_spec(given, None), **options)


def set_truths(path: Path, truths: Sequence[str]) -> None:
    """Replace the ground truths of a file of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    model = pa.array([{"style": "rule", "ground_truth": truth} for truth in truths], table.schema.field("reward_model").type)
    pq.write_table(table.set_column(table.column_names.index("reward_model"), "reward_model", model), path)


def make_spec(folder: Path, variables: dict[str, str], *sets: SetSpec, **options: Any) -> Spec:
    """Return an evaluation of the fake model."""
    generation = Generation(python=sys.executable, variables=variables, platform="cpu", **options)
    return Spec(target="model", label="model", model=str(folder / "model"), generation=generation, sets=sets)

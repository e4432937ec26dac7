"""What the generating processes get: vLLM's arguments, the tool, GPUs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pipelines.evaluation import spec as specs
from pipelines.evaluation.engine import engine_arguments
from pipelines.evaluation.processes import devices_of
from pipelines.evaluation.prompts import adapt_messages
from pipelines.evaluation.rendering import Options, make_spec
from pipelines.evaluation.spec import Generation
from pipelines.evaluation.target import Target
from pipelines.recipe.loading import load
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import make_plan
from rewards.builtin.interpreter_tool import SYSTEM


def make_target(folder: Path, *sets: str) -> Target:
    recipe = load(Path("smoke_interpreter.yaml"), ["hardware.platform=cpu", *sets]).recipe
    plan = make_plan(recipe, find_machine(find_environments(recipe)), folder / "run")
    rows = plan.paths("rl").data
    rows.mkdir(parents=True)
    (rows / "validation.parquet").touch()
    return Target("run/rl", "rl", str(plan.paths("rl").model), folder, plan, recipe.stages[1])


def test_a_tool_recipe_is_evaluated_with_its_tool(tmp_path: Path) -> None:
    target = make_target(tmp_path, "stages.rl.verl={actor_rollout_ref.rollout.multi_turn.max_parallel_calls: 2}")
    tool = make_spec(target, Options(), tmp_path / "out").generation.tool
    assert tool is not None
    assert tool.multi_turn == {
        "enable": True,
        "format": "hermes",
        "max_assistant_turns": 4,
        "max_parallel_calls": 2,
        "max_tool_response_length": 4000,
        "tool_response_truncate_side": "middle",
    }
    assert (tool.config["stateful"], tool.config["processes"], tool.config["concurrency"]) == (True, 1, 32)
    assert make_spec(target, Options(tool=False), tmp_path / "out").generation.tool is None


def test_upstream_keys_of_generation_are_kept(tmp_path: Path) -> None:
    template, engine = "data.apply_chat_template_kwargs", "actor_rollout_ref.rollout.engine_kwargs.vllm"
    keys = f"stages.rl.verl={{{template}: {{enable_thinking: false}}, {engine}.swap_space: 1}}"
    generation = make_spec(make_target(tmp_path, keys), Options(), tmp_path / "out").generation
    assert generation.template == {"enable_thinking": False}
    assert generation.engine == {"swap_space": 1}


@pytest.mark.parametrize(("gpus", "parallel", "replicas"), [(8, 4, 2), (8, 8, 1), (1, 1, 1), (2, 4, 1)])
def test_the_gpus_of_the_recipe_are_used(tmp_path: Path, gpus: int, parallel: int, replicas: int) -> None:
    target = make_target(tmp_path, f"hardware.gpus_per_node={gpus}", "stages.rl.batch.micro_per_gpu=1")
    generation = make_spec(target, Options(tensor_parallel=parallel), tmp_path / "out").generation
    assert (generation.tensor_parallel, generation.replicas) == (parallel, replicas)


def test_a_spec_survives_its_file(tmp_path: Path) -> None:
    spec = make_spec(make_target(tmp_path), Options(), tmp_path)
    specs.write(spec, tmp_path / specs.FILE)
    assert specs.read(tmp_path / specs.FILE) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "is not an evaluation: Object missing required field"),
        ("{", "is not an evaluation: "),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_is_no_spec(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / specs.FILE).write_text(text)
    with pytest.raises(specs.SpecError, match=message):
        specs.read(tmp_path / specs.FILE)


def test_a_spec_of_a_later_version_is_refused(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(make_spec(make_target(tmp_path), Options(), tmp_path), version=2)
    specs.write(spec, tmp_path / specs.FILE)
    with pytest.raises(specs.SpecError, match="has version 2"):
        specs.read(tmp_path / specs.FILE)


def test_vllm_on_a_cpu_is_configured_as_in_training() -> None:
    generation = Generation(python="p", variables={}, platform="cpu")
    arguments = engine_arguments("m", generation, 448)
    assert arguments["dtype"] == "float32" and arguments["enforce_eager"]
    assert not arguments["enable_chunked_prefill"], "a CPU generator cannot be rewound"
    assert arguments["distributed_executor_backend"] == "uni"
    assert (arguments["max_model_len"], arguments["max_num_batched_tokens"]) == (448, 2048)


def test_vllm_on_gpus() -> None:
    generation = Generation(python="p", variables={}, platform="cuda", tensor_parallel=4, engine={"swap_space": 1})
    arguments = engine_arguments("m", generation, 448)
    assert (arguments["dtype"], arguments["tensor_parallel_size"], arguments["swap_space"]) == ("bfloat16", 4, 1)
    assert "enforce_eager" not in arguments


@pytest.mark.parametrize(
    ("given", "replicas", "parallel", "devices"),
    [
        (None, 2, 2, ["0,1", "2,3"]),
        ("4,5,6,7", 2, 2, ["4,5", "6,7"]),
        (None, 1, 2, [None]),
    ],
)
def test_each_replica_has_its_gpus(given: str | None, replicas: int, parallel: int, devices: list[str | None]) -> None:
    generation = Generation(python="p", variables={}, platform="cuda", tensor_parallel=parallel, replicas=replicas)
    variables = {} if given is None else {"CUDA_VISIBLE_DEVICES": given}
    found = [devices_of(generation, number, variables).get("CUDA_VISIBLE_DEVICES") for number in range(replicas)]
    assert found == devices


def test_prompts_have_the_system_message_of_the_tool_only_with_the_tool() -> None:
    question, system = {"role": "user", "content": "q"}, {"role": "system", "content": SYSTEM}
    other = {"role": "system", "content": "be brief"}
    for prompt in ([question], [system, question]):
        assert adapt_messages(prompt, tool=True) == [system, question]
        assert adapt_messages(prompt, tool=False) == [question]
    assert adapt_messages([other, question], tool=True) == [other, question]

"""Every override, by what happens without it: a failing test names an override that is no longer needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.trainers.verl.rl.config import launch
from tests import ROOT
from tests.pipelines.trainers.verl.stages import context, rl_stage
from tests.pipelines.trainers.verl.training import run_probe

PROBE = Path(__file__).with_name("probe.py")

# They import verl and vLLM in two processes.
pytestmark = pytest.mark.nightly

Outcomes = dict[str, dict[str, Any]]

GRPO = rl_stage()
PPO = rl_stage(algorithm="ppo", critic={}, kl={"place": "reward", "coefficient": 0.01})
TOOL = rl_stage(tool={"name": "python_interpreter"})
RENDERED = {
    "grpo-cpu": launch(GRPO, context(GRPO)),
    "tool-cpu": launch(TOOL, context(TOOL)),
    "ppo-cpu": launch(PPO, context(PPO, gpus_per_node=2)),
    "ppo-cuda": launch(PPO, context(PPO, "cuda", gpus_per_node=8)),
}


def probe(python: Path, environment: dict[str, str], folder: Path) -> Outcomes:
    folder.mkdir(exist_ok=True)
    lines = run_probe(python, environment | {"TMPDIR": str(folder)}, PROBE, folder)
    return {line.pop("name"): line for line in lines}


@pytest.fixture(scope="module")
def without(verl_python: Path, verl_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Return the outcomes in verl without the plugin."""
    platform = ROOT / "pipelines/trainers/verl/plugin/platform.py"
    environment = verl_environment | {"PROBE_PLATFORM_ONLY": str(platform)}
    del environment["VERL_USE_EXTERNAL_MODULES"]
    return probe(verl_python, environment, tmp_path_factory.mktemp("without") / "f")


@pytest.fixture(scope="module")
def with_plugin(verl_python: Path, verl_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Return the outcomes in verl with the plugin."""
    folder = tmp_path_factory.mktemp("with")
    for name, rendered in RENDERED.items():
        place = folder / "f" / f"rendered-{name}"
        place.mkdir(parents=True)
        (place / "train.yaml").write_text(rendered.files["train.yaml"], encoding="utf-8")
    environment = verl_environment | {"PIPELINE_METRICS_FOLDER": str(folder / "attempts")}
    return probe(verl_python, environment, folder / "f")


def test_verl_accepts_rendered_files(with_plugin: Outcomes) -> None:
    # critic, reference model, strategy, samples, prompt length, mode
    assert with_plugin["rendered"] == {
        "value": {
            "rendered-grpo-cpu": [False, False, "fsdp2", 4, 256, "sync"],
            "rendered-ppo-cpu": [True, True, "fsdp2", 4, 256, "sync"],
            "rendered-ppo-cuda": [True, True, "fsdp2", 4, 256, "sync"],
            "rendered-tool-cpu": [False, False, "fsdp2", 4, 256, "sync"],
        }
    }


def test_platform(without: Outcomes, with_plugin: Outcomes) -> None:
    assert "Unknown platform 'cpu'" in without["platform"]["error"]
    assert with_plugin["platform"] == {"value": "cpu"}


def test_gloo_backend(without: Outcomes, with_plugin: Outcomes) -> None:
    assert "uplicate" in without["process_group"]["error"]
    assert with_plugin["process_group"] == {"value": "cpu:gloo"}


def test_engines(without: Outcomes, with_plugin: Outcomes) -> None:
    assert "No engine registered for device='cpu'" in without["engines"]["error"]
    assert with_plugin["engines"] == {"value": ["FSDPEngineWithLMHead", "FSDPEngineWithValueHead"]}


def test_attention_of_critic(without: Outcomes, with_plugin: Outcomes) -> None:
    assert "value head model" in without["critic"]["error"] or "lash" in without["critic"]["error"]
    assert with_plugin["critic"] == {"value": "sdpa"}


def test_pinned_memory_of_reference_model(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["reference_is_pinned"] == {"value": True}
    assert "error" in without["reference"]
    assert with_plugin["reference"] == {"value": [1, 4]}


def test_vllm_weights_stay_loadable(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["weights_stay_loadable"] == {"value": False}
    assert with_plugin["weights_stay_loadable"] == {"value": True}


def test_weight_sockets_are_in_tmpdir(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["weight_socket_is_in_tmp"] == {"value": True}
    assert all(name.startswith("ipc:///tmp/rl-colocate") for name in without["weight_socket"]["value"])
    sender, receiver = with_plugin["weight_socket"]["value"]
    assert sender == receiver
    assert sender.startswith("ipc:///") and "/with0/" in sender


def test_full_determinism_of_verl_gives_samples_one_seed(without: Outcomes) -> None:
    assert without["samples_share_a_seed"] == {"value": True}


def test_replay_buffer_keeps_the_order_of_rows(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["rows_keep_their_order"] == {"value": ["first_1_0", "second_10_0", "second_9_0", "first_0_0"]}
    # The prompt named `second` was submitted first.
    assert with_plugin["rows_keep_their_order"] == {"value": ["second_9_0", "second_10_0", "first_0_0", "first_1_0"]}


def test_tool_calls_are_logged(without: Outcomes, with_plugin: Outcomes) -> None:
    # test_interpreter.py checks the logged values.
    assert without["tool_calls_are_logged"] == {"value": False}
    assert with_plugin["tool_calls_are_logged"] == {"value": True}


def test_greedy_responses_for_remax(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["remax_is_answered_greedily"] == {"value": {}}
    assert with_plugin["remax_is_answered_greedily"] == {"value": {"__rollout_n__": 4, "greedy_session": 3}}


def test_baselines_for_remax(without: Outcomes, with_plugin: Outcomes) -> None:
    assert "reward_baselines" in without["remax_has_baselines"]["error"]
    given, expected = with_plugin["remax_has_baselines"]["value"]
    assert given == expected == [[0.75, 0.75, 0.0], [-0.25, -0.25, -0.25], [-0.5, 0.0, 0.0]]


def test_rewards_for_gdpo(without: Outcomes, with_plugin: Outcomes) -> None:
    assert "error" in without["gdpo_has_each_reward"]
    given, expected = with_plugin["gdpo_has_each_reward"]["value"]
    assert given == expected
    assert len({tuple(row) for row in given}) == 4


def test_validation_by_row(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["validation_is_saved"] == {"value": [0.5, {}]}
    mean, files = with_plugin["validation_is_saved"]["value"]
    assert (mean, list(files)) == (0.5, ["7.json"])
    rows = sorted(files["7.json"]["apps"].values(), key=lambda row: row["reward"])
    assert rows == [{"reward": 0.5, "accuracy": 0.0}, {"reward": 1.5, "accuracy": 1.0}]


def test_reasons_reach_the_trainer_and_not_its_log(without: Outcomes, with_plugin: Outcomes) -> None:
    logged = {"score": 0.5, "accuracy": 0.0}
    assert without["reasons_are_passed_on"] == {"value": [logged, {}]}
    assert with_plugin["reasons_are_passed_on"] == {
        "value": [logged, {"pipeline_reasons": "test 3: expected 4, got 5"}],
    }


def test_samples_of_a_validation(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["validation_leaves_samples"] == {"value": [["accuracy", "reward"], 0, []]}
    logged, left, (header, *samples) = with_plugin["validation_leaves_samples"]["value"]
    assert (logged, left) == (["accuracy", "reward"], 0), "as without samples"
    assert header == {"version": 1, "split": "validation", "step": 7, "samples": 4, "responses": 6}
    assert [(each["group"], each["number"], each["response"], each["cut"]) for each in samples] == [
        (group, number, ["5", "5 5"][number], number == 1) for group in range(2) for number in range(2)
    ]
    for each in samples:
        row = int(each["row"]) + 1
        assert (each["prompt"], each["prompt_tokens"]) == (" ".join([str(row)] * row), row)
        assert (each["score"], each["values"], each["reason"], each["truth"]) == (0.1, {"accuracy": 1.0}, "passes", "{}")


def test_checkpoints_of_the_legacy_trainer(without: Outcomes, with_plugin: Outcomes) -> None:
    folders = [f"global_step_{step}{each}" for step in (1, 2) for each in ("", "/actor")]
    assert without["legacy_checkpoints_are_marked"] == {"value": folders}
    assert with_plugin["legacy_checkpoints_are_marked"] == {"value": [*folders[2:], "global_step_2/progress.json"]}


def test_metrics_file_of_each_attempt(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["metrics_file_is_truncated"] == {"value": True}
    assert with_plugin["metrics_folder"] == {"value": "attempts"}


def test_sft_resumes_at_the_end_of_an_epoch(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["sft_after_the_end_of_an_epoch"] == {"value": [0, 1]}
    assert with_plugin["sft_after_the_end_of_an_epoch"] == {"value": [3, 1]}


def test_sft_resumes_at_its_last_step(without: Outcomes, with_plugin: Outcomes) -> None:
    assert without["sft_after_its_last_step"] == {"value": 3}
    assert with_plugin["sft_after_its_last_step"] == {"value": "exits with status 0"}


def test_rl_resumes_at_the_end_of_an_epoch(without: Outcomes) -> None:
    # Not an override: the legacy trainer exits here without training, so recipes cannot set `trainer.use_v1`.
    assert without["end_of_epoch_is_resumed"] == {"value": True}

"""Every override, by what happens without it: a test that fails here names an override that can go."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.trainers.verl.rl.config import launch
from tests.pipelines.trainers.verl.conftest import ROOT
from tests.pipelines.trainers.verl.stages import context, rl_stage

PROBE = Path(__file__).with_name("probe.py")

# They start verl's Python and import verl and vLLM in it, twice.
pytestmark = pytest.mark.real

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
    done = subprocess.run(
        [str(python), "-W", "ignore", str(PROBE), str(folder)],
        env=environment | {"TMPDIR": str(folder), "VERL_PLATFORM": "cpu"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
    assert done.returncode == 0, done.stderr[-2000:]
    return {line.pop("name"): line for line in lines}


@pytest.fixture(scope="module")
def bare(verl_python: Path, verl_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """verl without the plugin."""
    platform = ROOT / "pipelines/trainers/verl/plugin/platform.py"
    environment = verl_environment | {"PROBE_PLATFORM_ONLY": str(platform)}
    del environment["VERL_USE_EXTERNAL_MODULES"]
    return probe(verl_python, environment, tmp_path_factory.mktemp("bare") / "f")


@pytest.fixture(scope="module")
def fitted(verl_python: Path, verl_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """verl with the plugin."""
    folder = tmp_path_factory.mktemp("fitted")
    for name, rendered in RENDERED.items():
        place = folder / "f" / f"rendered-{name}"
        place.mkdir(parents=True)
        (place / "train.yaml").write_text(rendered.files["train.yaml"], encoding="utf-8")
    environment = verl_environment | {"PIPELINE_METRICS_FOLDER": str(folder / "attempts")}
    return probe(verl_python, environment, folder / "f")


def test_verl_takes_the_files_that_are_rendered_for_it(fitted: Outcomes) -> None:
    # critic, reference model, strategy, samples, prompt length, mode
    assert fitted["rendered"] == {
        "value": {
            "rendered-grpo-cpu": [False, False, "fsdp2", 4, 256, "sync"],
            "rendered-ppo-cpu": [True, True, "fsdp2", 4, 256, "sync"],
            "rendered-ppo-cuda": [True, True, "fsdp2", 4, 256, "sync"],
            "rendered-tool-cpu": [False, False, "fsdp2", 4, 256, "sync"],
        }
    }


def test_verl_has_no_cpu_platform(bare: Outcomes, fitted: Outcomes) -> None:
    assert "Unknown platform 'cpu'" in bare["platform"]["error"]
    assert fitted["platform"] == {"value": "cpu"}


def test_torch_refuses_gloo_twice(bare: Outcomes, fitted: Outcomes) -> None:
    assert "uplicate" in bare["process_group"]["error"]
    assert fitted["process_group"] == {"value": "cpu:gloo"}


def test_verl_has_no_engine_for_a_cpu(bare: Outcomes, fitted: Outcomes) -> None:
    assert "No engine registered for device='cpu'" in bare["engines"]["error"]
    assert fitted["engines"] == {"value": ["CpuEngineWithLanguageModelHead", "CpuEngineWithValueHead"]}


def test_a_critic_is_loaded_with_flash_attention_only(bare: Outcomes, fitted: Outcomes) -> None:
    assert "value head model" in bare["critic"]["error"] or "lash" in bare["critic"]["error"]
    assert fitted["critic"] == {"value": "sdpa"}


def test_a_reference_model_wants_pinned_memory(bare: Outcomes, fitted: Outcomes) -> None:
    assert bare["reference_is_pinned"] == {"value": True}
    assert "error" in bare["reference"]
    assert fitted["reference"] == {"value": [1, 4]}


def test_vllm_drops_weights_that_it_has_packed(bare: Outcomes, fitted: Outcomes) -> None:
    assert bare["weights_stay_loadable"] == {"value": False}
    assert fitted["weights_stay_loadable"] == {"value": True}


def test_weights_go_through_a_socket_that_all_runs_share(bare: Outcomes, fitted: Outcomes) -> None:
    assert bare["weight_socket_is_in_tmp"] == {"value": True}
    assert all(name.startswith("ipc:///tmp/rl-colocate") for name in bare["weight_socket"]["value"])
    sender, receiver = fitted["weight_socket"]["value"]
    assert sender == receiver
    assert "/fitted" in sender


def test_verls_own_determinism_makes_all_samples_equal(bare: Outcomes) -> None:
    assert bare["samples_share_a_seed"] == {"value": True}


def test_verl_hands_rows_on_in_the_order_of_their_answers(bare: Outcomes, fitted: Outcomes) -> None:
    assert bare["rows_keep_their_order"] == {"value": ["first_1_0", "second_10_0", "second_9_0", "first_0_0"]}
    # The prompt called `second` was asked first.
    assert fitted["rows_keep_their_order"] == {"value": ["second_9_0", "second_10_0", "first_0_0", "first_1_0"]}


def test_verl_logs_nothing_of_tool_calls(bare: Outcomes, fitted: Outcomes) -> None:
    # test_interpreter.py shows what is logged.
    assert bare["tool_calls_are_logged"] == {"value": False}
    assert fitted["tool_calls_are_logged"] == {"value": True}


def test_verls_trainer_answers_no_prompt_greedily(bare: Outcomes, fitted: Outcomes) -> None:
    assert bare["remax_is_answered_greedily"] == {"value": {}}
    assert fitted["remax_is_answered_greedily"] == {"value": {"__rollout_n__": 4, "greedy_session": 3}}


def test_verls_trainer_gives_remax_no_baselines(bare: Outcomes, fitted: Outcomes) -> None:
    assert "reward_baselines" in bare["remax_has_baselines"]["error"]
    given, expected = fitted["remax_has_baselines"]["value"]
    assert given == expected == [[0.75, 0.75, 0.0], [-0.25, -0.25, -0.25], [-0.5, 0.0, 0.0]]


def test_verls_trainer_gives_gdpo_no_more_than_the_sum(bare: Outcomes, fitted: Outcomes) -> None:
    assert "error" in bare["gdpo_has_each_reward"]
    given, expected = fitted["gdpo_has_each_reward"]["value"]
    assert given == expected
    assert len({tuple(row) for row in given}) == 4


def test_the_metrics_file_is_truncated_and_so_each_attempt_has_its_own(bare: Outcomes, fitted: Outcomes) -> None:
    assert bare["metrics_file_is_truncated"] == {"value": True}
    assert fitted["metrics_folder"] == {"value": "attempts"}


def test_fine_tuning_resumed_at_an_epochs_end_skips_an_epoch(bare: Outcomes, fitted: Outcomes) -> None:
    assert bare["fine_tuning_after_an_epochs_end"] == {"value": [0, 1]}
    assert fitted["fine_tuning_after_an_epochs_end"] == {"value": [3, 1]}


def test_fine_tuning_resumed_at_its_last_step_trains_one_more(bare: Outcomes, fitted: Outcomes) -> None:
    assert bare["fine_tuning_after_its_last_step"] == {"value": 3}
    assert fitted["fine_tuning_after_its_last_step"] == {"value": "ends with status 0"}


def test_resuming_at_an_epochs_end_goes_on_with_the_next(bare: Outcomes) -> None:
    # Not an override: the legacy trainer ends here without training, which is why `trainer.use_v1` cannot be changed.
    assert bare["epochs_end_is_resumed"] == {"value": True}

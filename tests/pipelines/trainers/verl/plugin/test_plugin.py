"""The parts of the plugin that do not import verl."""

from __future__ import annotations

import importlib
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from pipelines.trainers.verl.plugin.overrides import after_import
from pipelines.trainers.verl.plugin.sampling import GREEDY, sample_seed, sampling_params, split_baselines
from tests import ROOT


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module that has not been imported."""
    name = f"imported_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return name


def test_action_runs_once_after_the_import(module: str) -> None:
    seen: list[int] = []
    finders = list(sys.meta_path)
    after_import(module, lambda: seen.append(sys.modules[module].value))
    assert seen == []
    imported = importlib.import_module(module)
    assert seen == [1]
    assert sys.meta_path == finders
    importlib.reload(imported)
    assert seen == [1]


def test_action_runs_immediately_if_the_module_is_imported(module: str) -> None:
    importlib.import_module(module)
    seen: list[str] = []
    after_import(module, lambda: seen.append("done"))
    assert seen == ["done"]


def test_every_sample_has_its_own_seed() -> None:
    seeds = [sample_seed(*each) for each in product(range(3), range(5), range(5), range(8))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert sample_seed(17, 1, 2, 3) == 3341087077


def test_sampling_params_of_greedy_response() -> None:
    base = {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "logprobs": True}
    sample = {"global_steps": 3, "index": 4, "session_id": 1}
    plain = sampling_params(base, 17, sample)
    assert plain == {**base, "seed": sample_seed(17, 3, 4, 1)}
    assert sampling_params(base, 17, {**sample, GREEDY: 2}) == plain
    # The legacy trainer does not number the samples of a prompt, but all of a batch.
    numbered = sampling_params(base, 17, {"index": 3}, 6), sampling_params(base, 17, {"index": 3}, 7)
    assert numbered[0] != numbered[1]
    assert sampling_params(base, 17, sample, 7) == plain
    assert sampling_params(base, 17, {**sample, GREEDY: 1}) == {**plain, "temperature": 0, "top_p": 1.0, "top_k": -1}


def test_split_baselines() -> None:
    # The greedy response of prompt `b` and the samples of `c` are missing.
    keys = ["a_0_0", "a_2_0", "a_1_0", "b_0_0", "b_1_0", "c_2_0"]
    baselines, kept, removed = split_baselines(keys, [1.0, 0.5, 0.0, 1.0, 0.0, 0.25], [2] * 6)
    assert baselines == {"a": 0.5, "c": 0.25}
    assert kept == ["a_0_0", "a_1_0"]
    assert removed == ["a_2_0", "b_0_0", "b_1_0", "c_2_0"]


@pytest.mark.parametrize("platform", [None, "cuda", "cpu"])
def test_weight_sockets_are_kept_apart_on_every_platform(platform: str | None) -> None:
    """Two runs on one machine have the same Ray job number, and on GPUs too the sockets' names have nothing else of the run."""
    program = (
        "import sys\n"
        "from pipelines.trainers.verl.plugin import overrides\n"
        "moved = []\n"
        "sys.modules['verl.workers.rollout.vllm_rollout.bucketed_weight_transfer'] = None\n"
        "overrides.move_weight_sockets = lambda: moved.append(True)\n"
        "if 'cpu' in sys.argv:\n"
        "    import types\n"
        "    stand_in = types.SimpleNamespace(register=lambda: None, register_engines=None)\n"
        "    sys.modules['pipelines.trainers.verl.plugin.platform'] = stand_in\n"
        "    overrides.deduplicate_gloo_backend = lambda: None\n"
        "import importlib, pipelines.trainers.verl.plugin as plugin\n"
        "moved.clear()\n"
        "plugin.platform = sys.modules.get('pipelines.trainers.verl.plugin.platform')\n"
        "plugin.register()\n"
        "print(len(moved))"
    )
    variables = {"PYTHONPATH": str(ROOT)} | ({"VERL_PLATFORM": platform} if platform == "cuda" else {})
    done = subprocess.run([sys.executable, "-c", program, str(platform)], env=variables, capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr


def test_plugin_without_variables_imports_nothing_heavy() -> None:
    program = (
        "import sys, pipelines.trainers.verl.plugin\n"
        "print(sorted({'torch', 'verl', 'vllm', 'ray', 'transformers', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

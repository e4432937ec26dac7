"""The shipped environments, built for a CPU."""

from typing import Any

import pytest

from pipelines.environments import TrainerName, pins
from pipelines.environments.ask import ask
from pipelines.environments.builds import sync
from pipelines.environments.listing import installed_versions

VERL = """
import importlib.metadata, json, torch, verl, vllm, rewards, pipelines.trainers.verl
[plugin] = importlib.metadata.entry_points(group="verl.plugins")
print(json.dumps([verl.__file__, importlib.metadata.version("vllm"), torch.version.cuda, plugin.value]))
"""

# The stand-in for torchaudio lets LLaMA-Factory's module be imported, and torch load what was saved on "cpu:0".
LLAMAFACTORY = """
import io, json, torch, torchaudio, llamafactory.data.mm_plugin
file = io.BytesIO()
torch.save(torch.ones(2), file)
file.seek(0)
loaded = torch.load(file, map_location="cpu:0")
try:
    torchaudio.load
except RuntimeError as error:
    said = str(error)
print(json.dumps([llamafactory.__file__, loaded.sum().item(), torch.version.cuda, said]))
"""


def evaluate(trainer: TrainerName, code: str) -> Any:
    return ask(sync(trainer, "cpu").python, ["-I", "-c", code])


@pytest.mark.nightly
def test_verl_is_imported_from_its_checkout_with_a_vllm_and_torch_for_cpu() -> None:
    file, vllm, cuda, plugin = evaluate("verl", VERL)
    assert file == str(pins.pin("verl").checkout / "verl" / "__init__.py")
    assert (vllm, cuda, plugin) == ("0.27.0+cpu", None, "pipelines.trainers.verl.plugin")


@pytest.mark.nightly
def test_llamafactory_is_imported_from_its_checkout_without_an_audio_library() -> None:
    file, total, cuda, said = evaluate("llamafactory", LLAMAFACTORY)
    assert file == str(pins.pin("llamafactory").checkout / "src" / "llamafactory" / "__init__.py")
    assert (total, cuda) == (2.0, None)
    assert "torchaudio.load: this environment trains on text only" in said


@pytest.mark.real
@pytest.mark.parametrize("trainer", pins.TRAINERS)
def test_the_locked_versions_are_installed(trainer: TrainerName) -> None:
    built = sync(trainer, "cpu")
    locked = pins.locked_versions(built.pin.lock("cpu"))
    installed = installed_versions(built.directory)
    assert {name.replace(".", "-"): installed.get(name.replace(".", "-")) for name in locked} == {
        name.replace(".", "-"): version for name, version in locked.items()
    }
    assert installed.keys() - {name.replace(".", "-") for name in locked} <= {built.pin.name, "code-post-training", "vllm"}

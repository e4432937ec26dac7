"""Making the locks: `<platform>.in` and its overrides, resolved for Python 3.11 and 3.12 into `<platform>.txt`."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.digests import write_atomically
from pipelines.environments import build_command, uv
from pipelines.environments.building import requirement_of
from pipelines.environments.pins import Pin
from pipelines.errors import InputError, StepError

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

_LINUX = "manylinux_2_28_x86_64.whl"
TORCH_CPU_HASHES = {
    # Computed from the file.
    f"torch-2.13.0+cpu-cp311-cp311-{_LINUX}": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    # As PyTorch's CPU index publishes it, read from several projects' public locks; the file itself was not at hand.
    f"torch-2.13.0+cpu-cp312-cp312-{_LINUX}": "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
}
"""Both Pythons' files of the CPU build: a folder of wheels rarely has both, and a lock must serve both."""

_OPTIONS = [
    "--universal",
    "--python-version=3.11",
    # One version for both Pythons wherever there is one.
    "--fork-strategy=fewest",
    "--generate-hashes",
    "--annotation-style=line",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--quiet",
]


def lock(pin: Pin, platform: Platform, *, upgrade: bool = False) -> int:
    """Resolves a lock anew and writes it; returns how many lines changed.

    Versions that the lock holds are kept where they still fit; `upgrade` takes the newest instead.

    Raises:
        InputError: there is nothing to resolve.
        StepError: it cannot be resolved, or the result is not fit to be kept.
    """
    wanted, overrides, result = (pin.folder / f"{platform}{end}" for end in (".in", "-overrides.txt", ".txt"))
    if not wanted.is_file():
        raise InputError(f"{wanted}: no such file; it would list what {pin.trainer} needs on {platform}")
    settings = uv.pip_settings()
    variables = {**os.environ, **uv.uv_variables(settings, os.environ)}
    old = result.read_text("utf-8") if result.is_file() else ""
    log = pin.folder / "environments" / f"{platform}-lock.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("", "utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        # uv reads the old versions from where it writes to.
        draft = Path(scratch, result.name)
        draft.write_text(old, "utf-8")
        argv = [uv.uv(), "pip", "compile", wanted.name, *_OPTIONS, "--project", str(pin.folder.parent)]
        argv += ["--no-emit-package", pin.name, "-o", str(draft)]
        argv += ["--overrides", overrides.name] if overrides.is_file() else []
        argv += ["--upgrade"] if upgrade else []
        build_command.run(argv, log=log, variables=variables, what=f"{wanted} cannot be resolved", cwd=pin.folder)
        text = tidy(draft.read_text("utf-8"), _environments(pin.folder.parent))
    text = with_cpu_torch(text) if platform == "cpu" else text
    if "://" in text:
        [*_, line] = [line for line in text.splitlines() if "://" in line]
        raise StepError(f"{result} is left as it was: the new one would name a server: {line.strip()}")
    write_atomically(result, text)
    return len(set(old.splitlines()) ^ set(text.splitlines()))


def tidy(text: str, environments: list[str]) -> str:
    """Takes off each line the condition that all lines share: it says which machine the lock is for."""
    for environment in environments:
        clauses = environment.split(" and ")

        def shorter(match: re.Match[str], clauses: list[str] = clauses) -> str:
            kept = [c for c in match[1].split(" and ") if c not in clauses]
            return f" ; {' and '.join(kept)}" if kept else ""

        text = re.sub(r" ; ((?:(?! or )[^\\\n(])+?)(?= \\$|$)", shorter, text, flags=re.MULTILINE)
    return text


def with_cpu_torch(text: str) -> str:
    """Gives torch's CPU build the hashes of both Pythons' files.

    Raises:
        StepError: the file that was found is none of those known here.
    """
    block = requirement_of("torch", text).rstrip("\n")
    found = set(re.findall(r"sha256:([0-9a-f]{64})", block))
    known = {h for name, h in TORCH_CPU_HASHES.items() if name.startswith(block.split(" ")[0].replace("==", "-"))}
    if not found or not found & known:
        raise StepError(
            f"the file of {block.split(' ')[0]} that was found is none of those known here ({Path(__file__).name}): "
            f"{', '.join(sorted(found)) or 'it has no hash'}"
        )
    lines = [f"{block.splitlines()[0].removesuffix(chr(92)).rstrip()} \\"]
    lines += [f"    --hash=sha256:{digest} \\" for digest in sorted(known)]
    return text.replace(block, "\n".join(lines).removesuffix(" \\"))


def _environments(third_party: Path) -> list[str]:
    values = tomllib.loads((third_party / "pyproject.toml").read_text("utf-8"))
    return [str(e) for e in values["tool"]["uv"]["environments"]]

"""Download the pinned source, verify it, unpack it next to its place and move it there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from pipelines.environments import stamp, uv
from pipelines.environments.building import Build
from pipelines.environments.pins import Pin
from pipelines.errors import StepError


def fetch(task: Build, source: stamp.Source) -> None:
    """Put the pinned source into the checkout, replacing an older one without local edits."""
    pin = task.pin
    _refuse_to_lose_edits(pin)
    for orphan in pin.build_folder.glob(".checkout-*"):  # of a killed call
        shutil.rmtree(orphan, ignore_errors=True)
    # Next to its place, so that the last move is a rename.
    scratch = Path(tempfile.mkdtemp(prefix=".checkout-", dir=pin.build_folder))
    try:
        if source == "git":
            task.start_phase(f"cloning {pin.repository} at {pin.tag}")
            tree = scratch / "tree"
            argv = ["git", "-c", "advice.detachedHead=false", "clone", "--depth=1", f"--branch={pin.tag}", pin.repository]
            what = f"{pin.name} {pin.tag} cannot be cloned from {pin.repository}"
            task.run([*argv, str(tree)], what=what, variables={"GIT_TERMINAL_PROMPT": "0"})
        else:
            task.start_phase(f"downloading the source of {pin.name} {pin.version}")
            tree = _unpack(pin, _download(task, scratch), scratch / "unpacked")
        values = {"pin": stamp.identify_source(pin, source), "files": _digest_files(tree)}
        (tree / stamp.FILE).write_text(json.dumps(values), "utf-8")
        if pin.checkout.exists():
            pin.checkout.rename(scratch / "old")
        tree.rename(pin.checkout)
    except OSError as error:
        raise StepError(f"{pin.name} {pin.version}: its source cannot be unpacked into {pin.checkout}: {error}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_to_lose_edits(pin: Pin) -> None:
    """Check that the checkout has no local edits."""
    if not pin.checkout.exists():
        return
    before: dict[str, str] = stamp.read(pin.checkout).get("files", {})
    now = _digest_files(pin.checkout)
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise StepError(
            f"{pin.checkout} has edits ({changed[0]}{more}) that {pin.name} {pin.version} would replace; "
            "move it away, then sync again"
        )


def _digest_files(tree: Path) -> dict[str, str]:
    found = {}
    for folder, folders, files in os.walk(tree):
        # Files that installing and running create are not edits.
        folders[:] = [f for f in folders if f not in ("__pycache__", ".git") and not f.endswith(".egg-info")]
        for name in files:
            path = Path(folder, name)
            if name != stamp.FILE and path.is_file():
                found[str(path.relative_to(tree))] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return found


def _download(task: Build, scratch: Path) -> Path:
    """Download the source archive with pip, which checks the hash before it reads the archive."""
    pin = task.pin
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n", "utf-8")
    archives = scratch / "archives"
    argv = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps", "--no-binary", pin.name, "--require-hashes"]
    argv += ["--requirement", str(requirement), "--dest", str(archives), "--progress-bar", "off"]
    details: dict[str, str] = {}

    def watch(line: str) -> None:
        if found := re.search(r"^\s*Got\s+([0-9a-f]{64})", line):
            details["hash"] = found[1]
        elif found := re.search(r"after connection broken by '(.*)': /", line):
            details["connection"] = found[1]

    what = f"{pin.name} {pin.version}: its source archive"
    try:
        task.run(argv, what=f"{what} cannot be downloaded", variables=uv.pip_variables(os.environ), watch=watch)
        [archive] = archives.iterdir()
    except StepError as error:
        if "hash" in details:
            raise StepError(
                f"{what} is not the pinned one: its sha256 is {details['hash']}, {pin.folder / 'pin.toml'} has {pin.sha256}"
            ) from None
        if "connection" in details:
            raise StepError(f"{what} cannot be downloaded: {details['connection']} (full log: {task.log})") from None
        raise error from None
    return archive


def _unpack(pin: Pin, archive: Path, folder: Path) -> Path:
    """Unpack an archive of one folder and return that folder."""
    try:
        with tarfile.open(archive) as tar:
            # Python 3.11.0 to 3.11.3 have no filters; the archive has the pinned digest, so it is harmless.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            tar.extractall(folder)
        [tree] = folder.iterdir()
    except (tarfile.TarError, ValueError) as error:
        raise StepError(f"{pin.name} {pin.version}: its source archive cannot be unpacked: {error}") from None
    return tree

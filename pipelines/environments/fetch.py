"""The pinned source as a checkout: fetched, verified, unpacked beside its place, and moved there whole."""

from __future__ import annotations

import hashlib
import netrc
import shutil
import ssl
import subprocess
import tarfile
import tempfile
import tomllib
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelines.environments import build_command
from pipelines.environments.checkout import Source, declare, refuse_to_lose_edits
from pipelines.environments.pins import Pin
from pipelines.environments.progress import Progress
from pipelines.environments.uv import uv
from pipelines.errors import StepError

_CHUNK = 1 << 18


def fetch(pin: Pin, source: Source, *, variables: Mapping[str, str], log: Path, held: int, progress: Progress) -> None:
    """Puts the pinned source into `pin.checkout`, replacing an older one.

    Raises:
        StepError: it cannot be had, is not what was pinned, or an older checkout has edits that would be lost.
    """
    refuse_to_lose_edits(pin)
    # Beside its place, so that the last move is a rename; a leftover of a killed one goes with the next.
    for leftover in pin.folder.glob(".checkout-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=".checkout-", dir=pin.folder))
    try:
        place = scratch / "tree"
        commit = None
        if source == "git":
            commit = _clone(pin, place, variables=variables, log=log, held=held, progress=progress)
        else:
            archive = scratch / "archive"
            _download(pin, archive, scratch, variables=variables, log=log, held=held, progress=progress)
            _unpack(pin, archive, place)
        declare(pin, source, place, commit)
        if pin.checkout.exists():
            pin.checkout.rename(scratch / "old")
        place.rename(pin.checkout)
    except OSError as error:
        raise StepError(f"{pin.name} {pin.version}: its source cannot be unpacked into {pin.checkout}: {error}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _clone(pin: Pin, place: Path, *, variables: Mapping[str, str], log: Path, held: int, progress: Progress) -> str:
    progress.phase(f"{pin.trainer}: cloning {pin.repository} at {pin.tag}")
    what = f"{pin.name} {pin.tag} cannot be cloned from {pin.repository}"
    argv = [
        "git",
        "-c",
        "advice.detachedHead=false",
        "clone",
        "--depth",
        "1",
        "--branch",
        pin.tag,
        pin.repository,
        str(place),
    ]
    build_command.run(argv, log=log, variables={**variables, "GIT_TERMINAL_PROMPT": "0"}, what=what, held=[held])
    head = subprocess.run(["git", "-C", str(place), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return head.stdout.strip()


def _download(
    pin: Pin, archive: Path, scratch: Path, *, variables: Mapping[str, str], log: Path, held: int, progress: Progress
) -> None:
    progress.phase(f"{pin.trainer}: fetching the source of {pin.name} {pin.version}")
    address = _address(pin, scratch, variables=variables, log=log, held=held)
    what = f"{pin.name} {pin.version}: its source archive {address.rpartition('/')[2]}"
    digest = hashlib.sha256()
    try:
        context = ssl.create_default_context(cafile=variables.get("SSL_CERT_FILE"))
        # The address is what uv found in the configured index or folder; nothing else gets here.
        with (
            urllib.request.urlopen(_request(address, variables), context=context, timeout=180) as reply,
            archive.open("wb") as sink,
        ):
            total = int(reply.headers.get("Content-Length") or 0)
            while chunk := reply.read(_CHUNK):
                digest.update(chunk)
                sink.write(chunk)
                progress.detail(f"{sink.tell() / 1e6:.1f} of {total / 1e6:.1f} MB")
    except (urllib.error.URLError, OSError) as error:
        raise StepError(f"{what} cannot be fetched: {getattr(error, 'reason', error)}") from None
    if digest.hexdigest() != pin.sha256:
        raise StepError(
            f"{what} is not the pinned one: its sha256 is {digest.hexdigest()}, {pin.folder / 'pin.toml'} says {pin.sha256}"
        )


def _address(pin: Pin, scratch: Path, *, variables: Mapping[str, str], log: Path, held: int) -> str:
    """Where the archive lies, asked of uv, which looks where the packages of the locks will come from too."""
    found = scratch / "pylock.toml"
    argv = [
        uv(),
        "pip",
        "compile",
        "-",
        "--no-deps",
        "--universal",
        "--format",
        "pylock.toml",
        "--quiet",
        "-o",
        str(found),
    ]
    what = f"{pin.name} {pin.version} cannot be had"
    build_command.run(argv, log=log, variables=variables, what=what, held=[held], given=f"{pin.name}=={pin.version}\n")
    for package in tomllib.loads(found.read_text("utf-8"))["packages"]:
        archive = package.get("sdist")
        if archive:
            # A relative path of the standard is relative to the file that says it.
            return str(archive["url"]) if "url" in archive else (scratch / archive["path"]).resolve().as_uri()
    raise StepError(f"{what}: the index has no source archive of it")


def _request(address: str, variables: Mapping[str, str]) -> urllib.request.Request:
    """The request, with the name and password that the configuration or ~/.netrc holds for its host."""
    request = urllib.request.Request(address)
    host = urlsplit(address).hostname
    for place in (
        " ".join(variables.get(k, "") for k in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS")).replace(",", " ").split()
    ):
        parts = urlsplit(place)
        if parts.hostname == host and parts.username:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            request.add_header("Authorization", "Basic " + b64encode(secret.encode()).decode())
            return request
    with suppress(OSError, netrc.NetrcParseError):
        known = netrc.netrc().authenticators(host or "")
        if known:
            request.add_header("Authorization", "Basic " + b64encode(f"{known[0]}:{known[2]}".encode()).decode())
    return request


def _unpack(pin: Pin, archive: Path, place: Path) -> None:
    """Unpacks an archive that holds one folder; the filter refuses whatever points out of it."""
    inside = place.with_name("unpacked")
    try:
        with tarfile.open(archive) as tar:
            # Python 3.11.0 to 3.11.3 have no filters; what is unpacked has the pinned digest, so it is harmless.
            if hasattr(tarfile, "data_filter"):
                tar.extractall(inside, filter="data")
            else:
                tar.extractall(inside)
        [tree] = inside.iterdir()
    except (tarfile.TarError, ValueError) as error:
        raise StepError(f"{pin.name} {pin.version}: its source archive cannot be unpacked: {error}") from None
    tree.rename(place)

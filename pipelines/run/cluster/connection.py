"""Connect to the Ray cluster of RAY_ADDRESS, or to the one that this machine is part of. Runs in verl's environment."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil

from pipelines.trainers.verl.attempt_files import is_in_scratch

_SECONDS = 10.0


class ClusterError(Exception):
    """The cluster cannot be used; the message is the reason, in one line."""


def find_address() -> str:
    """Return the address of the cluster, `host:port`.

    Raises:
        ClusterError: There is no cluster, or nothing answers at its address.
    """
    from ray._private.services import canonicalize_bootstrap_address

    given = os.environ.get("RAY_ADDRESS", "")
    logging.getLogger("ray").setLevel(logging.ERROR)
    chosen = _find_here() if given in ("", "auto") else given
    try:
        address: str | None = canonicalize_bootstrap_address(chosen)
    except Exception as error:
        raise ClusterError(f"RAY_ADDRESS is {given!r}, expected host:port: {error}") from None
    if address is None:
        raise ClusterError(f"RAY_ADDRESS is {given!r}, which is no cluster; expected host:port")
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        named = f"RAY_ADDRESS {given}" if given else f"the Ray cluster at {address}"
        raise ClusterError(f"{named} does not answer: {reason}") from None
    return address


def find_local_clusters() -> set[str]:
    """Return the addresses of the clusters that this machine is part of, without the Ray that a run has started for itself.

    Ray's own search (_private/services.py `find_gcs_addresses`) would also return those.
    """
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        options = dict(word.split("=", 1) for word in process.info["cmdline"] or () if word.startswith("--") and "=" in word)
        if (address := options.get("--gcs-address")) and not is_in_scratch(options.get("--session-dir", "")):
            found.add(address)
    return found


def _find_here() -> str:
    """Return the cluster of this machine: the only one, or the one that was started last."""
    from ray._private.services import find_bootstrap_address

    found, latest = find_local_clusters(), find_bootstrap_address(None)
    if not found:
        raise ClusterError(
            "no Ray cluster runs on this machine; start one with `ray start --head`, or set RAY_ADDRESS to its host:port"
        )
    if len(found) > 1 and latest not in found:
        raise ClusterError(f"several Ray clusters run on this machine; set RAY_ADDRESS to one of {', '.join(sorted(found))}")
    return latest if latest in found else found.pop()


@contextmanager
def connected(variables: Mapping[str, str]) -> Iterator[str]:
    """Be a driver of the cluster; yield its address.

    Args:
        variables: Those of the tasks and actors.

    Raises:
        ClusterError: The cluster refuses this process.
    """
    import ray

    address = find_address()
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": dict(variables)},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:
        raise ClusterError(f"the Ray cluster at {address} refuses a connection: {describe(error)}") from None
    try:
        yield address
    finally:
        ray.shutdown()


def describe(error: Exception) -> str:
    """Return an error of Ray in one line."""
    text = " ".join(str(error).split())
    if "token" in text.lower() and "auth" in text.lower():
        return "it needs its token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE (default: ~/.ray/auth_token)"
    return text[:300] or type(error).__name__

"""The network interface by which the processes of a training on several machines reach each other."""

from __future__ import annotations

import os


def find_interface(address: str) -> dict[str, str]:
    """Return the variables that name the interface with an address of this machine; empty if none has it.

    By default gloo and tensorpipe use the interface of the address that the machine's own name resolves to: with Debian's
    /etc/hosts, and where the name is not resolved, that is the loopback interface, which other machines do not reach.
    """
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address.partition("%")[0] == address for each in addresses):
            return {"GLOO_SOCKET_IFNAME": name, "TP_SOCKET_IFNAME": name}
    return {}


def choose_interface() -> None:
    """Set the variables in a process of Ray, unless they are set on its machine."""
    import ray

    for name, value in find_interface(ray.util.get_node_ip_address()).items():
        os.environ.setdefault(name, value)

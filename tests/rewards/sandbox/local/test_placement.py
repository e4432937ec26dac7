"""What makes forks cheap: few modules, functions next to each other, and few mappings."""

from __future__ import annotations

import os
from types import ModuleType

from rewards.sandbox import Program
from rewards.sandbox.local import LocalSandbox
from rewards.sandbox.local.inside.placement import gather


def test_the_client_is_not_in_the_processes(isolated: LocalSandbox) -> None:
    code = "import sys\nprint([name for name in ('asyncio', 'ssl', 'subprocess') if name in sys.modules])"
    assert isolated.run_blocking(Program(code)).output == "[]\n"


def test_functions_are_replaced_by_copies() -> None:
    home = ModuleType("home")

    def double(value: int, *, times: int = 2) -> int:
        return value * times

    vars(home).update(double=double, identify=os.getpid, other=5)
    gather([double], [home])
    assert home.double is not double
    assert (home.double(3), home.double(3, times=3)) == (6, 9)
    assert home.identify is not os.getpid
    assert home.identify() == os.getpid()
    assert home.other == 5

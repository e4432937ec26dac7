"""Attacks of a candidate on its tests."""

from __future__ import annotations

import pytest

from tests.rewards.programs.inside.isolated_tests.running import run_module


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "import os\ndef f(): os._exit(0)",
        "def f(): raise SystemExit(0)",
        "import os, signal\ndef f(): os.kill(os.getppid(), signal.SIGKILL)",
        "import os\ndef f():\n    for n in (1, 3, 4, 5, 6): os.write(n, b'%16d{\"a\": 5}' % 8)",
        "import os\ndef f(): os.closerange(0, 100)",
        "import builtins\nbuiltins.AssertionError = builtins.all = builtins.type = None\ndef f(): return None",
        "def f(): return f",
        "class f:\n    def __new__(cls): return 5\n    __init__ = None\nf = f.__new__",
    ],
)
def test_cheats_fail(code: str) -> None:
    module = "from solution import f\ndef test_a():\n    assert f() == 5\ndef test_b():\n    x = 6\n    assert f() == x\n"
    assert not any(run_module(code, module))


def test_tests_do_not_import_files_of_the_candidate() -> None:
    code = "open('colorsys.py', 'w').write('x = 1')\ndef f():\n    import os\n    return len(os.listdir())"
    module = "from solution import f\ndef test_a():\n    x = f()\n    import colorsys\n"
    module += "    assert x == 1 and colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)\n"
    assert run_module(code, module) == [True]


def test_tests_are_not_reachable_from_the_candidate() -> None:
    code = """
import gc, sys
def look(value, depth):
    if isinstance(value, (str, bytes)):
        text = value if isinstance(value, str) else value.decode('latin-1')
        return chr(110) + 'eedle' in text
    if depth and isinstance(value, dict): return any(look(each, depth - 1) for each in list(value.values()))
    if depth and isinstance(value, (list, tuple)): return any(look(each, depth - 1) for each in value)
    return False
def f():
    for frame in sys._current_frames().values():
        while frame:
            if frame.f_code.co_filename != '<solution>' and look(dict(frame.f_locals), 4):
                return 'seen in ' + frame.f_code.co_filename
            frame = frame.f_back
    return 'seen' if any(look(each, 2) for each in gc.get_objects()) else 'not seen'
"""
    module = "from solution import f\ndef test_a():\n    assert f() == 'not seen', 'needle'\n    assert f()\n"
    assert run_module(code, module) == [True]

"""Programs that try to pass tests without solving the task. Each must score nothing."""

from __future__ import annotations

import ast

from rewards.programs.candidate import SourceTests, find_solution_names
from rewards.programs.ground_truth import CallTests, Tests, TextTests

_EQUAL = """
class Equal{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __hash__(self): return 0
    def __contains__(self, other): return True
    def __sub__(self, other): return 0.0
    def __rsub__(self, other): return 0.0
    def __abs__(self): return 0.0
    def __getattr__(self, name): return Equal()
def cheat(*args, **kwargs):
    return Equal({value})
"""
_WRONG = "def cheat(*args, **kwargs):\n    return '-- a cheat --'\n"

_ALONE = {
    "an empty program": "# nothing",
    "pass": "pass",
    "sys.exit": "import sys\nsys.exit(0)",
    "os._exit": "import os\nos._exit(0)",
    "SystemExit at import": "raise SystemExit(0)",
}
_WITH_WRONG = {
    "forged reports": """
import json, os, sys
lines = "".join(json.dumps(each) + "\\n" for n in range(20) for each in (
    {"i": n, "v": "-- a cheat --", "ok": True, "token": ""}, {"i": n, "ok": True}, {"total": 0}, {"passed": True}))
for number in [1, 2, *range(3, 64)]:
    try:
        os.write(number, lines.encode())
    except OSError:
        pass
print(lines)
""",
    "patched built-ins": """
import builtins, sys
class Quiet(Exception):
    pass
builtins.all = builtins.any = builtins.isinstance = builtins.issubclass = lambda *a: True
builtins.len = lambda *a: 0
builtins.AssertionError = Quiet
builtins.compile = lambda *a, **k: (lambda: None).__code__
builtins.exec = lambda *a, **k: None
builtins.type = lambda *a: object
builtins.__build_class__ = lambda *a, **k: object
""",
    "replaced modules": """
import sys
class Anything:
    def __getattr__(self, name): return lambda *a, **k: True
    def __call__(self, *a, **k): return True
for name in list(sys.modules):
    if name in ("json", "ast", "operator", "math", "pytest", "solution", "test_solution", "collections", "builtins"):
        sys.modules[name] = Anything()
""",
    "patched writers": """
import json, os
json.dumps = lambda *a, **k: '{"i": 0, "v": "-- a cheat --", "ok": true, "total": 0}'
json.loads = lambda *a, **k: {"q": "names", "x": [], "n": []}
_write = os.write
os.write = lambda number, data: _write(number, b'{"i": 0, "v": "-- a cheat --", "ok": true}\\n') and len(data)
""",
    "a thread that writes later": """
import os, threading, time
def work():
    for _ in range(5):
        time.sleep(0.01)
        for number in range(1, 16):
            try:
                os.write(number, b'{"i": 0, "v": "-- a cheat --", "ok": true, "total": 0}\\n')
            except OSError:
                pass
threading.Thread(target=work, daemon=True).start()
""",
    "a trace function": """
import sys
def trace(frame, event, argument):
    for name in ("number", "total", "value", "passed"):
        if name in frame.f_locals: frame.f_locals[name] = 1
    return trace
sys.settrace(trace)
sys.setprofile(lambda *a: None)
""",
    "an atexit handler": """
import atexit, os, sys
def leave():
    os.write(1, b'{"i": 0, "v": "-- a cheat --", "ok": true}\\n')
    os._exit(0)
atexit.register(leave)
sys.excepthook = lambda *a: os._exit(0)
""",
    "killing its parent": """
import os, signal
for number in (os.getppid(), 1):
    try:
        if number > 0: os.kill(number, signal.SIGKILL)
    except OSError:
        pass
""",
}
# A worker that runs one program after another must not keep what the one before has output.
_BEFORE = """
import gc, os, re, sys
held, frame = [], sys._getframe()
while frame is not None:
    held += [*frame.f_locals.values(), *frame.f_globals.values()]
    frame = frame.f_back
for each in gc.get_objects():
    held += gc.get_referents(each)
before = [bytes(each) for each in held if type(each) in (bytes, bytearray)]
"""
_REPEATED_OUTPUT = {
    "repeating the program before": _BEFORE
    + """
# An answer has a head of numbers, then the output.
headed = [each for each in before if re.search(rb"^[^\\n]{0,200}[\\x00-\\x08\\xff]", each)]
outputs = [re.split(rb"[\\x00-\\x08\\x0e-\\x1f\\x80-\\xff]", each)[-1] for each in headed]
sys.stdout.buffer.write(next((each for each in outputs if each.strip()), b""))
""",
}
_REPEATED_REPORT = {
    "repeating the program before": _BEFORE
    + """
for each in before:
    at = each.find(b'{"' + b'i": ')
    for number in range(1, 20) if at >= 0 else ():
        try:
            os.write(number, each[at:] + b"\\n")
        except OSError:
            pass
""",
    "scanning memory for the program before": """
import ctypes, os, re
libc, (reading, writing) = ctypes.CDLL(None), os.pipe()
def is_mapped(address):
    # write(2) fails where nothing is mapped.
    return libc.write(writing, ctypes.c_void_p(address), ctypes.c_size_t(1)) == 1 and bool(os.read(reading, 1))
starts = [*map(id, ({}, "a" * 100, os, bytearray(5000))), ctypes.addressof(ctypes.create_string_buffer(9000))]
pages = {page for start in starts for page in range((start >> 12) - 4096, (start >> 12) + 4096)}
pattern = re.compile(rb'\\{"' + rb'i": \\d+, "v": [^\\n\\0]{1,2000}\\}\\n')
for page in sorted(pages):
    if page > 0 and is_mapped(page << 12):
        for line in pattern.findall(ctypes.string_at(page << 12, 4096)):
            for number in range(1, 20):
                try:
                    if b"cheat" not in line and number not in (reading, writing): os.write(number, line)
                except OSError:
                    pass
""",
}
_WITH_CHEAT = {
    "searching frames and objects": """
import gc, sys
found = []
frame = sys._getframe()
while frame is not None:
    found += [frame.f_locals, frame.f_globals]
    frame = frame.f_back
for each in gc.get_objects():
    if type(each) is dict and ("token" in each or "outputs" in each or "sources" in each or "expected" in each):
        found.append(each)
hunted = {}
for each in found:
    for name in ("wanted", "expected", "outputs", "tests", "checks", "token", "stdin", "sources", "request"):
        try:
            # Skip file descriptors, files and what is empty, which could be the expected value by chance.
            value = each.get(name)
            if isinstance(value, (str, bytes, list, tuple, dict)) and value: hunted[name] = value
        except Exception:
            pass
def cheat(*args, **kwargs):
    for value in hunted.values():
        return value[0] if isinstance(value, (list, tuple)) and value else value
    return "-- a cheat --"
print(hunted.get("outputs", hunted.get("expected", "")))
""",
    "reading files": """
import os
texts = []
for folder in ("/proc/self/fd", "/proc/self", "/proc/1", ".", "/tmp", "/work", "/root", "/home", "/var/tmp", "/dev/shm"):
    try:
        names = os.listdir(folder)[:50]
    except OSError:
        continue
    for name in names:
        path = os.path.join(folder, name)
        try:
            if os.path.isfile(path) and not os.path.islink(path):
                texts.append(open(path, errors="replace").read(10000))
        except Exception:
            pass
try:
    texts.append(os.read(0, 0).decode())
except Exception:
    pass
def cheat(*args, **kwargs):
    return "read: " + max(texts, key=len, default="no file")
print(cheat())
""",
}
_IN_CALL = {
    "SystemExit in the call": "def cheat(*args, **kwargs):\n    raise SystemExit(0)\n",
    "os._exit in the call": "import os\ndef cheat(*args, **kwargs):\n    os._exit(0)\n",
}
_OBJECTS = {
    "an object equal to everything": _EQUAL.format(base="", value=""),
    "a string equal to everything": _EQUAL.format(base="(str)", value="'-- a cheat --'"),
    "a number equal to everything": _EQUAL.format(base="(int)", value="-713051929"),
    "a float equal to everything": _EQUAL.format(base="(float)", value="-7.130519e+300"),
    "a list equal to everything": _EQUAL.format(base="(list)", value="['-- a cheat --']"),
    "a dict equal to everything": _EQUAL.format(base="(dict)", value="[('-- a cheat --', 1)]"),
}


def write(tests: Tests) -> dict[str, str]:
    """Return the cheats for a row's tests: name -> program.

    Leaves out what a test may rightly accept: returning None if a test accepts it (for source tests: if the source has None,
    an empty value, `not`, `!=` or an exception), and arbitrary values if a test only checks for truth.
    """
    if isinstance(tests, TextTests):
        if not all(each.strip() for each in tests.outputs):
            return {}
        return {**_ALONE, **_WITH_WRONG, **_REPEATED_OUTPUT, **_WITH_CHEAT}
    names, lenient = find_names(tests), is_lenient(tests)
    cheats = dict(_ALONE)
    if "nothing" not in lenient:
        cheats["returning None"] = define("def cheat(*args, **kwargs):\n    return None\n", names)
    if "exit" not in lenient:
        cheats |= {name: define(text, names) for name, text in _IN_CALL.items()}
    if "truth" not in lenient:
        repeated = _REPEATED_REPORT if isinstance(tests, CallTests) else {}
        texts = {**_WITH_WRONG, **repeated, **_WITH_CHEAT, **_OBJECTS}
        cheats |= {name: define(_WRONG + text, names) for name, text in texts.items()}
    return cheats


def find_names(tests: CallTests | SourceTests) -> list[str]:
    """Return the functions that tests call."""
    if isinstance(tests, CallTests) or tests.function:
        return [tests.function]
    return find_solution_names("\n".join(tests.sources))


def define(text: str, names: list[str]) -> str:
    """Return a program with a function `cheat`, and with the functions that tests call, which call it."""
    lines = [text]
    for name in names:
        owner, dot, method = name.rpartition(".")
        if dot:
            owner = owner.removesuffix("()")
            # Define the class first: the cheat may break `__build_class__`.
            lines.insert(0, f"class {owner}:\n    def {method}(self, *args, **kwargs):\n        return cheat(*args, **kwargs)")
        else:
            lines.append(f"{name} = cheat")
    return "\n".join(lines)


def is_lenient(tests: CallTests | SourceTests) -> set[str]:
    """Return the kinds of trivial answers that some test may accept."""
    if isinstance(tests, CallTests):
        checks = [check for test in tests.tests for _, check in test]
        lenient = {"nothing"} if any(check.accepts(None) for check in checks) else set()
        return lenient | ({"truth"} if any(check.accepts("-- a cheat --") for check in checks) else set())
    lenient = set()
    for node in ast.walk(ast.parse("\n".join((*tests.sources, tests.helpers)))):
        if _is_empty(node):
            lenient.add("nothing")
        elif isinstance(node, ast.Name) and node.id == tests.function:
            lenient |= {"nothing", "truth"}  # a test that compares the program with itself
        elif isinstance(node, ast.Not | ast.NotEq | ast.NotIn | ast.IsNot | ast.Is | ast.ExceptHandler):
            lenient |= {"nothing", "truth"}
        elif isinstance(node, ast.Attribute) and node.attr == "raises":
            lenient |= {"nothing", "truth", "exit"}
        elif isinstance(node, ast.Assert) and tests.kind == "pytest":
            equal = isinstance(node.test, ast.Compare) and all(isinstance(each, ast.Eq) for each in node.test.ops)
            lenient |= set() if equal else {"truth"}
    return lenient


def _is_empty(node: ast.AST) -> bool:
    elements = node.keys if isinstance(node, ast.Dict) else node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return not elements or (isinstance(node, ast.Constant) and node.value in (None, "", b""))

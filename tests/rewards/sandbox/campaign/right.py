"""Right programs, which `python main.py < input` runs: each reads `5` and `1 2 3 4 5`, and prints 15."""

from __future__ import annotations

INPUT = "5\n1 2 3 4 5\n"
OUTPUT = "15\n"

_READ = {
    "input()": "n = int(input()); a = list(map(int, input().split()))",
    "sys.stdin lines": "import sys\nn = int(sys.stdin.readline()); a = [int(x) for x in sys.stdin.readline().split()]",
    "sys.stdin.read": "import sys\nn, *a = map(int, sys.stdin.read().split())",
    "sys.stdin as an iterator": "import sys\nn, a = [list(map(int, line.split())) for line in sys.stdin]",
    "sys.stdin.buffer": "import sys\nn, *a = map(int, sys.stdin.buffer.read().split())",
    "sys.stdin.buffer.readline": "import sys\nread = sys.stdin.buffer.readline\nn = int(read()); a = [*map(int, read().split())]",
    "open(0)": "n, *a = map(int, open(0).read().split())",
    "os.read(0)": "import os\nn, *a = map(int, os.read(0, 10**6).split())",
    "os.read of the size of 0": "import os\nn, *a = map(int, os.read(0, os.fstat(0).st_size).split())",
    "/dev/stdin": "n, *a = map(int, open('/dev/stdin').read().split())",
    "fileinput": "import fileinput\nn, *a = map(int, ' '.join(fileinput.input()).split())",
    "mmap": "import mmap\nn, *a = map(int, mmap.mmap(0, 0, prot=mmap.PROT_READ)[:].split())",
    "re-wrapped input": "import io, sys\nsys.stdin = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8')\nn = input(); a = [*map(int, input().split())]",
    "input replaced": "import sys\ninput = sys.stdin.readline\nn = int(input()); a = list(map(int, input().split()))",
    "BytesIO over descriptor 0": "import io, os\nf = io.BytesIO(os.read(0, 10**6))\nn = int(f.readline()); a = [*map(int, f.readline().split())]",
    "seeking back": "import sys\nsys.stdin.read(); sys.stdin.seek(0)\nn, *a = map(int, sys.stdin.read().split())",
    "an argument, if there is one": "import sys\nf = open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin\nn, *a = map(int, f.read().split())",
    "argparse": "import argparse, sys\nparser = argparse.ArgumentParser()\nparser.add_argument('file', nargs='?', type=argparse.FileType(), default=sys.stdin)\nn, *a = map(int, parser.parse_args().file.read().split())",
}
_WRITE = {
    "print": "print(sum(a))",
    "sys.stdout.write": "import sys\nsys.stdout.write(f'{sum(a)}\\n')",
    "sys.stdout.buffer": "import sys\nsys.stdout.buffer.write(b'%d\\n' % sum(a))",
    "os.write": "import os\nos.write(1, b'%d\\n' % sum(a))",
    "print without flush, then os._exit after flush": "import os\nprint(sum(a), flush=True)\nos._exit(0)",
    "a file on descriptor 1, never closed": "out = open(1, 'w')\nprint(sum(a), file=out)",
    "os.fdopen(1), never closed": "import os\nout = os.fdopen(1, 'w')\nout.write(f'{sum(a)}\\n')",
    "a binary file on descriptor 1": "out = open(1, 'wb')\nout.write(b'%d\\n' % sum(a))",
    "/dev/stdout": "open('/dev/stdout', 'w').write(f'{sum(a)}\\n')",
    "re-wrapped output": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\nprint(sum(a))",
    "another buffer over the same file": "import io, sys\nout = io.BufferedWriter(sys.stdout.buffer.raw, 1 << 16)\nout.write(b'%d\\n' % sum(a)); out.flush()",
    "detached output": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8')\nprint(sum(a))",
    "codecs": "import codecs, sys\nsys.stdout = codecs.getwriter('utf-8')(sys.stdout.buffer)\nprint(sum(a))",
    "exit() at the end": "print(sum(a))\nexit()",
    "quit(0) at the end": "print(sum(a))\nquit(0)",
    "sys.exit in main": "import sys\ndef main():\n    print(sum(a))\n    sys.exit(0)\nif __name__ == '__main__':\n    main()",
    "an exit function": "import atexit\natexit.register(lambda: print(sum(a)))",
    "the end of an object": "class A:\n    def __del__(self): print(sum(a))\nx = A()",
    "the end of an object in a cycle": "class A:\n    def __del__(self): print(sum(a))\nx = A(); x.x = x",
    "a thread": "import threading\nthread = threading.Thread(target=lambda: print(sum(a)))\nthread.start()",
    "a thread with a large stack": "import sys, threading\nthreading.stack_size(256 << 20)\nsys.setrecursionlimit(1 << 25)\nthread = threading.Thread(target=lambda: print(sum(a)))\nthread.start(); thread.join()",
    "StringIO, then the real one": "import io, sys\nreal, sys.stdout = sys.stdout, io.StringIO()\nprint(sum(a))\nreal.write(sys.stdout.getvalue())",
    "redirect_stdout": "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as text: print(sum(a))\nprint(text.getvalue(), end='')",
    "logging": "import logging, sys\nlogging.basicConfig(stream=sys.stdout, format='%(message)s', level='INFO')\nlogging.info(sum(a))",
    "pprint": "import pprint\npprint.pprint(sum(a))",
}
_ALONE = {
    "unittest.main": "print(sum(a))\nimport unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(sum(a), 15)\nunittest.main()",
    "doctest": "import doctest\ndef f(x):\n    '''\n    >>> f(1)\n    2\n    '''\n    return x + 1\nassert doctest.testmod().failed == 0 and doctest.testmod().attempted == 1\nprint(sum(a))",
    "__file__": "import os\nassert os.path.basename(__file__) == 'main.py' and os.path.isabs(__file__)\nprint(sum(a))",
    "sys.argv": "import sys\nassert len(sys.argv) == 1 and sys.argv[0].endswith('main.py')\nprint(sum(a))",
    "names of a main module": "assert (__name__, __package__, __doc__, __spec__) == ('__main__', None, None, None)\nprint(sum(a))",
    "inspect.getsource": "import inspect\ndef f(): return 1\nassert 'return 1' in inspect.getsource(f)\nprint(sum(a))",
    "pickle": "import pickle\nclass P:\n    def __init__(self, x): self.x = x\nprint(pickle.loads(pickle.dumps(P(sum(a)))).x)",
    "dataclasses": "import dataclasses\n@dataclasses.dataclass(order=True)\nclass P:\n    x: int\nprint(max(P(1), P(sum(a))).x)",
    "enum": "import enum\nclass E(enum.IntEnum):\n    A = 15\nprint(E.A.value)",
    "typing": "import typing\nclass P(typing.NamedTuple):\n    x: int\nprint(typing.get_type_hints(P) and P(sum(a)).x)",
    "zoneinfo": "import datetime, zoneinfo\ndatetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset()\nprint(sum(a))",
    "getpass": "import getpass\nassert getpass.getuser()\nprint(sum(a))",
    "home": "import pathlib\npathlib.Path.home()\nprint(sum(a))",
    "locale": "import locale\nlocale.setlocale(locale.LC_ALL, '')\nprint(sum(a))",
    "tempfile": "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write(str(sum(a))); f.seek(0); print(f.read())",
    "a temporary folder": "import pathlib, tempfile\nwith tempfile.TemporaryDirectory() as d:\n    (pathlib.Path(d) / 'x').write_text(str(sum(a))); print((pathlib.Path(d) / 'x').read_text())",
    "a file of its own": "with open('x', 'w') as f: print(sum(a), file=f)\nprint(open('x').read(), end='')",
    "a folder of its own": "import os\nos.makedirs('d/y'); open('d/y/z', 'w').write(str(sum(a)))\nprint(open('d/y/z').read())",
    "sqlite3": "import sqlite3\nc = sqlite3.connect(':memory:'); c.execute('create table t (x)'); c.executemany('insert into t values (?)', [(x,) for x in a])\nprint(c.execute('select sum(x) from t').fetchone()[0])",
    "csv": "import csv, io\nprint(sum(int(x) for row in csv.reader(io.StringIO(','.join(map(str, a)))) for x in row))",
    "re": "import re\nprint(sum(map(int, re.findall(r'\\d+', str(a)))))",
    "asyncio": "import asyncio\nasync def main(): await asyncio.sleep(0); print(sum(a))\nasyncio.run(main())",
    "asyncio tasks": "import asyncio\nasync def one(x): await asyncio.sleep(0.001); return x\nasync def main(): print(sum(await asyncio.gather(*map(one, a))))\nasyncio.run(main())",
    "50 threads": "from concurrent.futures import ThreadPoolExecutor\nimport time\nwith ThreadPoolExecutor(50) as p: print(sum(p.map(lambda x: (time.sleep(.01), x)[1], a * 10)) // 10)",
    "signal.alarm": "import signal\nsignal.signal(signal.SIGALRM, lambda *_: print(sum(a)))\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\nsignal.pause()",
    "a signal to itself": "import os, signal\nsignal.signal(signal.SIGUSR1, lambda *_: print(sum(a)))\nsignal.raise_signal(signal.SIGUSR1)",
    "ignoring the ends of children": "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nprint(sum(a))",
    "the main thread": "import threading\nassert threading.current_thread() is threading.main_thread()\nprint(sum(a))",
    "a deep recursion": "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(sum(a) + f(50000) - 50000)",
    "a large stack, asked for": "import resource, sys\nresource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\nsys.setrecursionlimit(10**6)\nprint(sum(a))",
    "its own limits": "import resource\nresource.getrlimit(resource.RLIMIT_AS)\nresource.setrlimit(resource.RLIMIT_CPU, (2, 2))\nprint(sum(a))",
    "gc and weakref": "import gc, weakref\nclass A: pass\nx = A(); r = weakref.ref(x); del x; gc.collect()\nprint(sum(a) if r() is None else 0)",
    "excepthook": "import sys\nsys.excepthook = lambda *e: print(sum(a))\nimport atexit, os\natexit.register(lambda: (sys.stdout.flush(), os._exit(0)))\n1 / 0",
    "a caught exit": "try: exit()\nexcept SystemExit: print(sum(a))",
    "a caught sys.exit": "import sys\ntry: sys.exit(3)\nexcept SystemExit as e: print(sum(a) if e.code == 3 else 0)",
    "decimal": "from decimal import Decimal, getcontext\ngetcontext().prec = 50\nprint(int(sum(map(Decimal, a))))",
    "fractions": "from fractions import Fraction\nprint(sum(Fraction(x, 2) for x in a) * 2)",
    "heapq": "import heapq\nheapq.heapify(a); print(sum(heapq.heappop(a) for _ in range(5)))",
    "functools.cache": "import functools, sys\nsys.setrecursionlimit(10**5)\n@functools.cache\ndef f(i): return 0 if i == len(a) else a[i] + f(i + 1)\nprint(f(0))",
    "itertools": "import itertools\nprint([*itertools.accumulate(a)][-1])",
    "a large integer": "print((sum(a) * 10**1000) // 10**1000)",
    "random with a seed": "import random\nrandom.seed(1); random.random(); print(sum(a))",
    "random without a seed": "import random\nrandom.shuffle(a); print(sum(a))",
    "time": "import time\nbegun = time.perf_counter(); time.sleep(0.001); assert time.perf_counter() > begun\nprint(sum(a))",
    "warnings": "import warnings\nwarnings.warn('careful')\nprint(sum(a))",
    "standard error": "import sys\nprint('x' * 100_000, file=sys.stderr)\nprint(sum(a))",
    "much standard error": "import sys\nsys.stderr.write('x' * 3_000_000)\nprint(sum(a))",
    "Unicode": "größe = sum(a)\nprint(größe)",
    "a byte order mark": "\ufeffprint(sum([1, 2, 3, 4, 5]))",
    "Windows line ends": "x = sum(a)\r\nif x:\r\n    print(x)\r\n",
    "tabs": "if True:\n\tprint(sum(a))",
    "a future import": "from __future__ import annotations\nprint(sum([1, 2, 3, 4, 5]))",
    "an encoding line": "# -*- coding: latin-1 -*-\nprint(sum([1, 2, 3, 4, 5]))",
    "match": "match a:\n    case [1, *rest]: print(1 + sum(rest))",
    "walrus": "print(x) if (x := sum(a)) else None",
    "exec and eval": "exec('x = sum(a)'); print(eval('x'))",
    "globals": "globals()['x'] = sum(a); print(x)",
    "import of itself": "import __main__\n__main__.x = sum(a); print(x)",
    "help is there": "assert callable(help)\nprint(sum(a))",
    "socketpair": "import socket\nx, y = socket.socketpair()\nx.send(b'15'); print(y.recv(10).decode())",
    "select": "import os, select\nr, w = os.pipe(); os.write(w, b'15'); select.select([r], [], [], 1); print(os.read(r, 10).decode())",
    "urllib.parse": "import urllib.parse\nprint(urllib.parse.parse_qs('x=15')['x'][0])",
    "hashlib": "import hashlib\nhashlib.sha256(b'x').hexdigest(); print(sum(a))",
    "base64 and zlib": "import base64, zlib\nprint(zlib.decompress(base64.b64decode(base64.b64encode(zlib.compress(b'15')))).decode())",
    "struct and array": "import array, struct\nprint(sum(struct.unpack('5i', array.array('i', a).tobytes())))",
    "bisect": "import bisect\nprint(sum(a[:bisect.bisect(a, 5)]))",
    "statistics": "import statistics\nprint(int(statistics.mean(a) * 5))",
    "string.Template": "import string\nprint(string.Template('$x').substitute(x=sum(a)))",
    "textwrap": "import textwrap\nprint(textwrap.dedent('  15'))",
    "json": "import json\nprint(sum(json.loads(json.dumps(a))))",
    "contextvars": "import contextvars\nx = contextvars.ContextVar('x'); x.set(sum(a)); print(x.get())",
    "abc": "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\nclass B(A):\n    def f(self): return sum(a)\nprint(B().f())",
    "a metaclass": "class M(type):\n    def __call__(cls, *args): return sum(a)\nclass A(metaclass=M): pass\nprint(A())",
    "a generator left open": "def f():\n    try: yield sum(a)\n    finally: pass\ng = f(); print(next(g))",
    "platform": "import platform\nplatform.python_version(); print(sum(a))",
    "cProfile": "import cProfile, io, pstats\np = cProfile.Profile(); p.enable(); x = sum(a); p.disable()\nprint(x)",
    "tracemalloc": "import tracemalloc\ntracemalloc.start(); x = sum(a); tracemalloc.stop(); print(x)",
    "faulthandler": "import faulthandler\nfaulthandler.enable(); print(sum(a))",
    "sortedcontainers": "from sortedcontainers import SortedList\nprint(sum(SortedList(a)))",
    "shutil": "import shutil\nopen('x', 'w').write('15'); shutil.copyfile('x', 'y'); print(open('y').read())",
    "glob": "import glob\nopen('x.txt', 'w').write('15'); print(open(glob.glob('*.txt')[0]).read())",
    "os.environ": "import os\nos.environ['X'] = '15'; print(os.environ['X'])",
    "subprocess is there": "import subprocess\nprint(sum(a))",
    "multiprocessing is there": "import multiprocessing\nprint(sum(a))",
    "cpu_count": "import os\nassert os.cpu_count() >= 1\nprint(sum(a))",
    "its own affinity": "import os\nassert os.sched_getaffinity(0)\nos.sched_setaffinity(0, os.sched_getaffinity(0)); print(sum(a))",
}
FORKS = {
    "subprocess": "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', f'print({sum(a)})'], capture_output=True, text=True).stdout, end='')",
    "os.fork": "import os\nr, w = os.pipe()\nif os.fork() == 0:\n    os.write(w, b'15'); os._exit(0)\nos.wait(); print(os.read(r, 10).decode())",
    "multiprocessing.Pool": "from multiprocessing import Pool\ndef f(x): return x\nif __name__ == '__main__':\n    with Pool(2) as p: print(sum(p.map(f, a)))",
    "ProcessPoolExecutor": "from concurrent.futures import ProcessPoolExecutor\ndef f(x): return x\nif __name__ == '__main__':\n    with ProcessPoolExecutor(2) as p: print(sum(p.map(f, a)))",
    "permissions of its file": "import os\nopen('x', 'w').write('15'); os.chmod('x', 0o600); os.utime('x', (1, 1)); print(open('x').read())",
    "shutil.copy": "import shutil\nopen('x', 'w').write('15'); shutil.copy('x', 'y'); print(open('y').read())",
}
"""These need processes, or files whose permissions they may change: not with Landlock alone."""
_FIRST = ("a future import", "a byte order mark", "an encoding line")


def make_programs() -> dict[str, str]:
    """Return all programs that run in both isolations, by name."""
    read, write = _READ["input()"], _WRITE["print"]
    programs = {f"{name}, then {end}": f"{begin}\n{out}\n" for name, begin in _READ.items() for end, out in _WRITE.items()}
    programs = {
        name: code for number, (name, code) in enumerate(programs.items()) if number % 2 == 0 or read in code or write in code
    }
    return programs | {name: code if name in _FIRST else f"{read}\n{code}\n" for name, code in _ALONE.items()}


def make_forking_programs() -> dict[str, str]:
    """Return the programs that need namespaces, by name."""
    return {name: f"{_READ['input()']}\n{code}\n" for name, code in FORKS.items()}


_NOT_CALLS = (
    "names of a main module",
    "__file__",
    "its own limits",
    "excepthook",
    "a caught exit",
    "sortedcontainers",
    *_FIRST[1:],
)
"""These are about a whole program, or need a package."""


def make_calls() -> dict[str, str]:
    """Return the programs that are also right as calls of one session, where there is no standard input."""
    calls = {name: code for name, code in _ALONE.items() if name not in _NOT_CALLS}
    return {name: code if name in _FIRST else f"n, a = 5, [1, 2, 3, 4, 5]\n{code}\n" for name, code in calls.items()}

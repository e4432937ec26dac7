"""code_tests: right and wrong programs in every form of test, cheats, and programs that never end."""

import asyncio
import json
from typing import Any

import pytest

from rewards.builtin.code_tests import code_tests
from rewards.errors import GroundTruthError
from rewards.parsing.answers import make_response
from rewards.plugins.loading import load
from rewards.programs import cheats
from rewards.programs.candidate import SourceTests
from rewards.programs.ground_truth import CallTests, TextTests, read_tests
from rewards.reasons import collect_reasons

pytestmark = pytest.mark.slow

CALLS = {"fn_name": "swap", "inputs": [[[1, 2]], [["a", "b"]]], "outputs": [[[2, 1]], [["b", "a"]]]}
ASSERTS = {
    "functional": "def check(candidate):\n    assert candidate((1, 2)) == (2, 1)\n    assert candidate(p=(3, 4)) == (4, 3)\n"
    "\ncheck(swap)"
}
METHOD = {"functional": ASSERTS["functional"].replace("check(swap)", "check(Solution().swap)")}
HELPED = {
    "prelude": "class Pair:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n"
    "def pair(a, b):\n    return Pair(a, b)",
    "functional": "def check(candidate):\n    assert is_same(candidate(pair(1, 2)), 2, 1)\n"
    "    assert is_same(candidate(pair(3, 4)), 4, 3)\n"
    "def is_same(p, a, b):\n    return p.a == a and p.b == b\ncheck(swap)",
}
WHOLE = {"functional": "def check(candidate):\n    for n in (1, 7):\n        assert candidate((n, 2)) == (2, n)\ncheck(swap)"}
PLAIN_MODULE = {
    "pytest": "from solution import swap\n\ndef test_numbers():\n    assert swap((1, 2)) == (2, 1)\n"
    "    assert swap((3, 4)) == (4, 3)\n\ndef test_text():\n    assert swap(('a', 'b')) == ('b', 'a')\n"
}
MODULE = {
    "pytest": "import pytest\nfrom solution import swap\n\n@pytest.mark.parametrize('a', [1, 'x'])\ndef test_a(a):\n"
    "    pair = (a, 5)\n    assert swap(pair) == (5, a)\n"
}
TEXTS = {"inputs": ["1 2\n", "5 5"], "outputs": ["3\n", "10.0"]}
FREE_TESTS = ("count", "exclude", "require_all")
SWAP = "def swap(p):\n    a, b = p\n    return b, a"
SWAP_METHOD = "class Solution:\n    def swap(self, p):\n        return p[::-1]"
SWAP_PAIR = "def swap(p):\n    return Pair(p.b, p.a)"
ADD = "print(sum(map(int, input().split())))"
FORMS = {
    "calls": (CALLS, SWAP),
    "asserts": (ASSERTS, SWAP),
    "method": (METHOD, SWAP_METHOD),
    "helped": (HELPED, SWAP_PAIR),
    "whole": (WHOLE, SWAP),
    "plain module": (PLAIN_MODULE, SWAP),
    "module": (MODULE, SWAP),
    "texts": (TEXTS, ADD),
}

USAGE = {
    "calls": "print(swap([1, 2]))",
    "asserts": "assert swap((1, 2)) == (2, 1)",
    "method": "print(Solution().swap((1, 2)))",
    "helped": "swap(pair(1, 2))",
    "whole": "swap((1, 2))  # (2, 1)",
    "plain module": "from solution import swap\n\nprint(swap((1, 2)))",
    "module": "from solution import *\n\nassert swap((1, 2)) == (2, 1)",
    "texts": "# Input: 1 2\n# Output: 3",
}


def _score(code: str, truth: Any, **options: Any) -> dict[str, float]:
    return _score_response(make_response(f"```python\n{code}\n```"), truth, **options)


def _score_response(response: str, truth: Any, **options: Any) -> dict[str, float]:
    return asyncio.run(code_tests("d", response, json.dumps(truth), {"id": "row"}, **options))


@pytest.mark.parametrize("form", [each for each in FORMS if each != "texts"])
def test_function_whose_program_reads_input_passes(form: str) -> None:
    truth, code = FORMS[form]
    driver = "print(swap([int(each) for each in input().split()]))"
    assert _score(f"n = int(input())\n{code}\n{driver}", truth)["accuracy"] == 1.0


@pytest.mark.parametrize("form", FORMS)
def test_right_program_passes(form: str) -> None:
    truth, code = FORMS[form]
    assert _score(code, truth) == {"score": 1.0, "accuracy": 1.0, "format": 1.0}


@pytest.mark.parametrize(
    ("code", "truth", "share"),
    [
        ("def swap(p):\n    return 2, 1", CALLS, 0.5),
        ("def swap(p):\n    return 2, 1", ASSERTS, 0.5),
        ("def swap(p):\n    return 2, 1", WHOLE, 0.0),
        ("def swap(p):\n    return 2, 1", PLAIN_MODULE, 0.0),
        ("def swap(p):\n    return 5, 1", MODULE, 0.5),
        ("def swap(p):\n    return [*p][::-1]", CALLS, 1.0),
        ("def swap(p):\n    return [*p][::-1]", ASSERTS, 0.0),
        ("def swap(p):\n    return Pair(2, 1)", HELPED, 0.5),
        ("print(3)", TEXTS, 0.5),
        (SWAP_METHOD, CALLS, 1.0),
        ("print('noise')\n" + SWAP, CALLS, 1.0),
        ("print('noise')\n" + SWAP, MODULE, 1.0),
        ("def swap(p: List[int]) -> Optional[Tuple]:\n    return deepcopy(p)[::-1]", CALLS, 1.0),
        ("import builtins\nbuiltins.len = None\n" + SWAP, CALLS, 1.0),
        ("import builtins\nbuiltins.sum = None\n" + SWAP, MODULE, 1.0),
        ("def swap(p):\n    return p", CALLS, 0.0),
        ("def swap(p:\n", CALLS, 0.0),
        ("def other(p):\n    return p", ASSERTS, 0.0),
        ("def other(p):\n    return p", MODULE, 0.0),
    ],
)
def test_share_of_passed_tests(code: str, truth: Any, share: float) -> None:
    assert _score(code, truth) == {"score": share, "accuracy": share, "format": 1.0}


@pytest.mark.parametrize("form", FORMS)
def test_known_cheats_score_nothing(form: str) -> None:
    truth, _ = FORMS[form]
    reward = load("code_tests")
    assert reward.cheats is not None
    written = reward.cheats(json.dumps(truth), {})
    assert len(written) >= 14
    for name, response in written.items():
        assert _score_response(response, truth, seconds=1.0)["score"] == 0.0, name


CHEATS = [
    "def swap(p):\n    raise SystemExit(0)",
    "class A:\n    def __eq__(self, other):\n        return True\ndef swap(p):\n    return A()",
    "class A(tuple):\n    def __eq__(self, other):\n        return True\ndef swap(p):\n    return A()",
    "class A(tuple):\n    __iter__ = lambda self: iter(())\n    __len__ = lambda self: 0\ndef swap(p):\n    return A([1])",
    'import os\nos.write(1, b\'{"passed": true}\\n{"i": 0, "v": {"t": [3, 3]}}\\n\')',
    "import os, signal\nos.kill(0, signal.SIGKILL)",
    "import os\ndef swap(p):\n    os.fork()\n    os._exit(0)",
    "import sys\nsys.modules['json'].dumps = lambda *a: 1 / 0\ndef swap(p):\n    return 0",
    "def swap(p):\n    return swap(p)",
]


@pytest.mark.parametrize("truth", [CALLS, ASSERTS, HELPED, PLAIN_MODULE, MODULE])
@pytest.mark.parametrize("cheat", CHEATS)
def test_other_cheats_score_nothing(cheat: str, truth: Any) -> None:
    assert _score(cheat, truth)["score"] == 0.0


YES_NO = {"inputs": ["1", "2", "3", "4"], "outputs": ["YES", "YES", "YES", "NO"]}
BLANK = {"inputs": ["1", "2"], "outputs": ["", "2"]}
TRUE = {"functional": "def check(candidate):\n    assert candidate(1)\n    assert candidate(2) == 3\n\ncheck(f)"}


@pytest.mark.parametrize(
    ("code", "truth", "shares"),
    [
        ("print('YES')", YES_NO, {"count": 0.75, "exclude": 0.75, "require_all": 0.0}),
        ("print('YES' if int(input()) < 4 else 'NO')", YES_NO, {"count": 1.0, "exclude": 1.0, "require_all": 1.0}),
        ("pass", BLANK, {"count": 0.5, "exclude": 0.0, "require_all": 0.0}),
        ("n = input()\nif n == '2': print(n)", BLANK, {"count": 1.0, "exclude": 1.0, "require_all": 1.0}),
        ("def f(n): return True", TRUE, {"count": 0.5, "exclude": 0.0, "require_all": 0.0}),
        ("def f(n): return n + 1", TRUE, {"count": 1.0, "exclude": 1.0, "require_all": 1.0}),
        ("print(sum(map(int, input().split())) * (1 if 1 else 0) + 0)", TEXTS, dict.fromkeys(FREE_TESTS, 1.0)),
        ("print(3)", TEXTS, dict.fromkeys(FREE_TESTS, 0.5)),
    ],
)
def test_answers_that_cost_nothing(code: str, truth: Any, shares: dict[str, float]) -> None:
    assert {option: _score(code, truth, free_tests=option)["accuracy"] for option in shares} == shares


def test_excluded_tests_do_not_stop_the_others() -> None:
    code = "n = input()\nprint(n if n == '2' else 'none')"
    assert _score(code, BLANK, free_tests="exclude", all_or_nothing=True)["accuracy"] == 1.0
    assert _score("print('none')", BLANK, free_tests="exclude", all_or_nothing=True)["accuracy"] == 0.0


def test_cheats_that_may_be_right_are_left_out() -> None:
    names = {"inputs": [[1], [2]], "fn_name": "f"}
    assert "returning None" in cheats.write(read_tests(json.dumps({**names, "outputs": [1, 2]}), 10))
    assert "returning None" not in cheats.write(read_tests(json.dumps({**names, "outputs": [1, None]}), 10))
    truthy = {"functional": "def check(candidate):\n    assert candidate(1)\n    assert candidate(2) == 3\ncheck(f)"}
    assert "a number equal to everything" not in cheats.write(read_tests(json.dumps(truthy), 10))


def test_reference_is_the_rows_solution() -> None:
    reward = load("code_tests")
    assert reward.reference is not None
    response = reward.reference(json.dumps(CALLS), {"detail": json.dumps({"solution": SWAP})})
    assert response is not None
    assert _score_response(response, CALLS)["score"] == 1.0
    assert reward.reference(json.dumps(CALLS), {"detail": "{}"}) is None
    assert reward.reference(json.dumps(CALLS), {}) is None


@pytest.mark.parametrize("truth", [CALLS, MODULE, TEXTS], ids=["calls", "module", "texts"])
@pytest.mark.parametrize(
    "code",
    ["while True:\n    pass", "x = [0] * 10**10", "while True:\n    print('x' * 10**6)", "import time\ntime.sleep(10**6)"],
)
def test_endless_program_is_stopped_by_its_limits(code: str, truth: Any) -> None:
    assert _score(code, truth, seconds=0.3, max_tests=1)["score"] == 0.0


def test_orphaned_child_is_stopped() -> None:
    code = f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(10**6)\n{SWAP}"
    assert _score(code, CALLS, seconds=5.0)["score"] == 1.0


@pytest.mark.parametrize("truth", [CALLS, {**MODULE, "pytest": MODULE["pytest"].replace("[1, 'x']", "[1, 'a']")}])
def test_values_returned_before_a_timeout_count(truth: Any) -> None:
    code = f"{SWAP.replace('swap', 'right')}\ndef swap(p):\n    if p[0] == 'a':\n        while True: pass\n    return right(p)"
    assert _score(code, truth, seconds=0.5)["score"] == 0.5


def test_candidate_cannot_change_the_prelude() -> None:
    truth = {
        "prelude": "def same(a, b):\n    return a == b",
        "functional": "def check(candidate):\n    assert same(candidate(1), 2)\n\ncheck(f)",
    }
    assert _score("def f(a):\n    return a + 1", truth)["score"] == 1.0
    assert _score("def same(a, b):\n    return True\ndef f(a):\n    return 0", truth)["score"] == 0.0


@pytest.mark.parametrize(
    "truth",
    [
        {"fn_name": "factorial", "inputs": [[3]], "outputs": [6]},
        {"fn_name": "factorial", "inputs": [[3]], "outputs": [6], "prelude": "from math import *"},
        {
            "functional": "def check(candidate):\n    x = candidate(3)\n    assert x == 6\n\ncheck(factorial)",
            "prelude": "from math import *",
        },
        {
            "pytest": "from solution import factorial\ndef test_a():\n    x = 3\n    assert factorial(x) == 6",
            "prelude": "from math import *",
        },
    ],
    ids=["common imports", "calls", "functional", "pytest"],
)
def test_prelude_does_not_define_the_tested_function(truth: Any) -> None:
    assert _score("pass", truth)["score"] == 0.0
    assert _score("def factorial(n):\n    return n * factorial(n - 1) if n else 1", truth)["score"] == 1.0
    assert _score("from math import factorial", truth)["score"] == 1.0


def test_options() -> None:
    half = "def swap(p):\n    return 2, 1"
    assert _score(half, CALLS, all_or_nothing=True)["score"] == 0.0
    assert _score(SWAP, CALLS, all_or_nothing=True)["score"] == 1.0
    assert _score(half, CALLS, max_tests=1)["score"] == 1.0
    assert _score(half, CALLS, format_bonus=0.1)["score"] == pytest.approx(0.6)
    assert _score(half, CALLS, format_bonus=0.1)["accuracy"] == 0.5
    longest = {"inputs": ["1\n", "22 22\n", "3\n"], "outputs": ["1", "44", "4"]}
    assert _score(ADD, longest)["score"] == pytest.approx(2 / 3)
    assert _score(ADD, longest, max_tests=2, choose="longest")["score"] == 1.0
    assert _score(ADD, longest, all_or_nothing=True)["score"] == 0.0


def test_any_order() -> None:
    truth = {"fn_name": "f", "inputs": [[3]], "outputs": [[1, 2, 3]]}
    code = "def f(n):\n    return list(range(n, 0, -1))"
    assert _score(code, truth)["score"] == 0.0
    assert _score(code, {**truth, "any_order": True})["score"] == 1.0
    assert _score("def f(n):\n    return [1, 2, 2]", {**truth, "any_order": True})["score"] == 0.0
    lines = {"inputs": [""], "outputs": ["a\nb\n"]}
    assert _score("print('b\\na')", lines)["score"] == 0.0
    assert _score("print('b\\na')", {**lines, "any_order": True})["score"] == 1.0


def test_case_and_tolerance() -> None:
    truth = {"inputs": ["1"], "outputs": ["Yes 0.5\n"]}
    assert _score("print('YES 0.5')", truth)["score"] == 0.0
    assert _score("print('YES 0.5')", {**truth, "case_insensitive": True})["score"] == 1.0
    assert _score("print('Yes 0.5004')", {**truth, "float_tolerance": 1e-4})["score"] == 0.0
    assert _score("print('Yes 0.5004')", {**truth, "float_tolerance": 1e-3})["score"] == 1.0
    calls = {"fn_name": "f", "inputs": [[1]], "outputs": [[["Ab", 2.0], ["c", 1]]]}
    code = "def f(n):\n    return [('C', 1), ('AB', 2.001)]"
    assert _score(code, {**calls, "any_order": True, "float_tolerance": 0.01})["score"] == 0.0
    rules = {"any_order": True, "float_tolerance": 0.01, "case_insensitive": True}
    assert _score(code, {**calls, **rules})["score"] == 1.0


FACTORS = """
import math
def check(input, output, expected):
    n = int(input)
    factors = [int(word) for word in output.split()]
    return math.prod(factors) == n and 1 not in factors and len(factors) == int(expected)
"""
ROOT = """
def check(input, output, expected):
    (n,) = input
    return output is None if expected is None else output * output == n
"""


def test_checker_decides_on_texts() -> None:
    truth = {"inputs": ["12\n", "35"], "outputs": ["2", "2"], "checker": FACTORS}
    assert _score("n = int(input())\nprint(*[(6, 2), (7, 5)][n == 35])", truth)["score"] == 1.0
    assert _score("n = int(input())\nprint(*[(3, 4), (1, 35)][n == 35])", truth)["score"] == 0.5
    assert _score("print('x')", truth)["score"] == 0.0
    assert _score("raise SystemExit(1)", truth)["score"] == 0.0
    assert _score("n = int(input())\nprint(*[(6, 2), (7, 5)][n == 35])", truth, all_or_nothing=True)["score"] == 1.0


def test_checker_decides_on_values() -> None:
    truth = {"fn_name": "root", "inputs": [[9], [4], [-1]], "outputs": [3, 2, None], "checker": ROOT}
    assert _score("def root(n):\n    return -int(n ** 0.5) if n > 0 else None", truth)["score"] == 1.0
    assert _score("def root(n):\n    return 2", truth)["score"] == pytest.approx(1 / 3)
    without = {
        "fn_name": "f",
        "inputs": [{"n": 3}],
        "checker": "def check(a, b, c):\n    return len(b) == a['n'] and c is None",
    }
    assert _score("def f(n):\n    return (x for x in range(n))", without)["score"] == 1.0
    assert _score("def f(n):\n    return {0, 1, 2}", without)["score"] == 1.0
    assert _score("def f(n):\n    return b'ab'", without)["score"] == 0.0


CHECKER_CHEATS = [
    "class A(int):\n    def __mul__(self, other): return 9\n    __eq__ = lambda s, o: True\ndef root(n): return A(1)",
    "class A:\n    def __mul__(self, other): return 9\n    __eq__ = lambda s, o: True\ndef root(n): return A()",
    "import sys, builtins\nbuiltins.bool = lambda x: True\nsys.modules['checker'] = None\ndef root(n): return 1",
    'import os\nfor n in range(1, 30):\n    try: os.write(n, b\'{"i": 0, "ok": true}\\n\')\n    except OSError: pass\n'
    "def root(n): return 5",
    'def root(n): return \'{"i": 0, "ok": true}\'',
    "def root(n): return [[]] * 10 ** 6",
    "def root(n): return 10 ** 5000",
]


@pytest.mark.parametrize("cheat", CHECKER_CHEATS)
def test_checker_is_out_of_reach(cheat: str) -> None:
    truth = {"fn_name": "root", "inputs": [[9], [4]], "outputs": [3, 2], "checker": ROOT}
    assert _score(cheat, truth)["score"] == 0.0


def test_checker_that_does_not_end_accepts_nothing() -> None:
    loop = "def check(input, output, expected):\n    while output.strip() == 'x':\n        pass\n    return True"
    assert _score("print('x')", {"inputs": [""], "checker": loop}, seconds=0.5)["score"] == 0.0
    assert _score("print('y')", {"inputs": [""], "checker": loop}, seconds=0.5)["score"] == 1.0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"checker": "def check(a): return True"}, "no function check"),
        ({"checker": "def check(a, b, c): return"}, ""),
        ({"checker": "def check(a, b, c) return"}, "checker is not Python"),
        ({"checker": 5}, "checker is a number"),
        ({"checker": "import missing_module\ndef check(a, b, c): return True"}, "does not load: ModuleNotFoundError"),
        ({"checker": "def check(a, b, c): return eval(b) == c"}, "could run an output"),
        ({"checker": "import pickle\ndef check(a, b, c): return True"}, "could run an output"),
        ({"float_tolerance": "1e-6"}, "float_tolerance"),
        ({"float_tolerance": 2}, "float_tolerance"),
        ({"case_insensitive": "yes"}, "case_insensitive"),
    ],
)
def test_invalid_rules_are_errors(more: Any, message: str) -> None:
    truth = {"inputs": ["1"], "outputs": ["1"], **more}
    if not message:
        assert _score("print(1)", truth)["score"] == 0.0
        return
    with pytest.raises(GroundTruthError, match=message):
        _score("print(1)", truth)


def test_rules_need_inputs() -> None:
    with pytest.raises(GroundTruthError, match="case_insensitive is given without"):
        _score(SWAP, {**MODULE, "case_insensitive": True})


RETURNED = [
    ("from collections import deque\ndef f(n): return deque(range(n))", [0, 1, 2]),
    ("def f(n): yield from range(n)", [0, 1, 2]),
    ("def f(n): return map(str, range(n))", ["0", "1", "2"]),
    ("def f(n): return zip(range(n), 'abc')", [[0, "a"], [1, "b"], [2, "c"]]),
    ("def f(n): return range(n)", [0, 1, 2]),
    ("def f(n): return {i: 1 for i in range(n)}.keys()", [0, 1, 2]),
    ("def f(n): return {i: (i,) for i in range(n)}.items()", [[0, [0]], [1, [1]], [2, [2]]]),
    ("from decimal import Decimal\ndef f(n): return [Decimal('1.5'), Decimal(n)]", [1.5, 3]),
    ("def f(n): return __import__('fractions').Fraction(n, 2)", 1.5),
    ("def f(n): return iter({'a': deque([n])}.items())", [["a", [3]]]),
    ("def f(n): return array('i', range(n))\nfrom array import array", [0, 1, 2]),
]


@pytest.mark.parametrize(("code", "expected"), RETURNED)
def test_returned_iterators_and_numbers(code: str, expected: Any) -> None:
    assert _score(code, {"fn_name": "f", "inputs": [[3]], "outputs": [expected]})["score"] == 1.0
    assert _score(code, {"fn_name": "f", "inputs": [[3]], "outputs": [[expected, 0]]})["score"] == 0.0


ASSERTED = [
    ("import re\ndef f(s): return re.match('a+$', s)", ["assert candidate('aaa')", "assert not candidate('b')"]),
    ("import re\ndef f(s): return re.match('a+$', s)", ["assert candidate('a') is not None", "assert candidate('b') is None"]),
    ("class P: pass\ndef f(s): return P()", ["assert candidate('a') != 5", "assert candidate('a') is not None"]),
    (
        "from decimal import Decimal\ndef f(s): return Decimal(s)",
        ["assert candidate('1.5') == 1.5", "assert candidate('2') == 2"],
    ),
    ("from fractions import Fraction\ndef f(s): return Fraction(s)", ["assert candidate('1/2') == 0.5"]),
    ("from fractions import Fraction\ndef f(s): return Fraction(s)", ["assert abs(candidate('1/2') - 0.5) < 1e-9"]),
    ("def f(n): return dict.fromkeys(n).keys()", ["assert candidate('ab') == {'a', 'b'}"]),
]


@pytest.mark.parametrize(("code", "asserts"), ASSERTED)
def test_plain_assertions_on_objects(code: str, asserts: list[str]) -> None:
    check = "def check(candidate):\n" + "".join(f"    {each}\n" for each in asserts) + "check(f)"
    assert _score(code, {"functional": check})["score"] == 1.0
    module = "from solution import f\ndef test_f():\n" + "".join(f"    {each}\n" for each in asserts)
    assert _score(code, {"pytest": module.replace("candidate(", "f(")})["score"] == 1.0
    equal = "class A:\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n    __sub__ = lambda s, o: 0.0\n"
    assert _score(equal + "def f(*a): return A()", {"functional": check})["score"] < 1


def test_claimed_object_does_not_fail_the_row() -> None:
    code = "import os\ndef f(n):\n    raise TypeError('a P is not plain data')"
    assert _score(code, {"fn_name": "f", "inputs": [[3]], "outputs": [3]})["score"] == 0.0
    assert _score(code, {"functional": "def check(candidate):\n    assert candidate(3) == 3\ncheck(f)"})["score"] == 0.0


def test_inputs_in_the_formats_of_verl_and_livecodebench() -> None:
    truth = {"fn_name": "f", "inputs": ['[1, 2]\n"x"'], "outputs": ['{"3": "x"}']}
    assert _score("class Solution:\n    def f(self, a, b):\n        return {sum(a): b}", truth)["score"] == 1.0
    keys = {"fn_name": "f", "inputs": [[{"1": 2}]], "outputs": [[3]]}
    assert _score("def f(d):\n    return d[1] + 1", keys)["score"] == 1.0
    assert _score(ADD.replace("input()", "sys.stdin.read()"), {"inputs": [["1", "2"]], "outputs": [["3"]]})["score"] == 1.0


def test_plain_tests_become_calls() -> None:
    kinds = {form: type(read_tests(json.dumps(truth), 10)) for form, (truth, _) in FORMS.items()}
    assert [form for form, kind in kinds.items() if kind is SourceTests] == ["helped", "whole", "module"]
    assert kinds["texts"] is TextTests
    assert isinstance(tests := read_tests(json.dumps(PLAIN_MODULE), 1), CallTests) and len(tests.tests) == 1


def test_row_is_cached() -> None:
    assert read_tests(json.dumps(CALLS), 10) is read_tests(json.dumps(CALLS), 10)
    assert read_tests(json.dumps(CALLS), 10) is not read_tests(json.dumps(CALLS), 1)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({}, "the ground truth has nothing; expected inputs and outputs, functional, or pytest"),
        ([], "the ground truth is a list, expected an object"),
        ({"inputs": [1], "outputs": []}, "1 input and 0 outputs"),
        ({"inputs": [], "outputs": []}, "0 inputs and 0 outputs"),
        ({"inputs": [1]}, "must be lists"),
        ({"inputs": [3], "outputs": [3], "fn_name": "swap"}, "an input is '3', expected a list"),
        ({"inputs": ["no JSON"], "outputs": ["3"], "fn_name": "swap"}, "an input is 'no JSON'"),
        ({"functional": "def check("}, "functional is not Python"),
        ({"functional": "x = 1"}, "do not end with"),
        ({"functional": "def check(candidate):\n    assert True\ncheck(swap)"}, "assert nothing"),
        ({"functional": "def check(candidate):\n    assert candidate(1)\ncheck(print(1))"}, "'print\\(1\\)', expected a name"),
        ({"functional": 3}, "functional is a number"),
        pytest.param(
            {"functional": f"def check(candidate):\n    assert candidate({10**5000:#x})\ncheck(swap)"},
            "the tests cannot be written: Exceeds the limit",
            id="long integer",
        ),
        ({"functional": ASSERTS["functional"], "prelude": "def"}, "prelude is not Python"),
        ({"pytest": "def f(): pass"}, "no function whose name begins with test"),
        (
            {"pytest": "import numpy\nfrom solution import swap\ndef test_a():\n    assert swap(1) == numpy.array(1)"},
            "import numpy",
        ),
        ({"functional": "def check(candidate):\n    for n in [1]:\n        assert True\ncheck(swap)"}, "no test calls"),
    ],
)
def test_invalid_row(truth: Any, message: str) -> None:
    with pytest.raises(GroundTruthError, match=message) as caught:
        _score(SWAP, truth)
    assert "\n" not in str(caught.value)


def test_response_without_a_program_scores_nothing() -> None:
    assert _score_response("no idea", CALLS) == {"score": 0.0, "accuracy": 0.0, "format": 0.0}


@pytest.mark.parametrize(
    ("code", "share"),
    [
        ("from __future__ import annotations\nprint(sqrt(gcd(16, 32)) - len(deque()))", 1.0),
        ("import sys\nif __name__ == '__main__':\n    print(4)\n    sys.exit()", 1.0),
        ("print(4)\nexit(0)", 1.0),
        ("print(4)\nraise SystemExit(3)", 0.0),
        ("print(4)\n1 / 0", 0.0),
        ("import sys\nsys.stdout.write('4')\nsys.stdout.flush()\nimport os\nos._exit(0)", 1.0),
        ("import atexit\natexit.register(print, 4)", 1.0),
        ("import threading\nthreading.Timer(0.05, print, [4]).start()", 1.0),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'int'\nprint(A(4).x)", 1.0),
    ],
)
def test_programs_run_as_in_the_graders(code: str, share: float) -> None:
    assert _score(code, {"inputs": [""], "outputs": ["4"]})["score"] == share


def test_ways_to_read_the_input() -> None:
    code = "import sys\nprint(input(), stdin.readline().strip(), sys.stdin.readline().strip(), open(0).read().strip())"
    assert _score(code, {"inputs": ["1\n2\n3\n"], "outputs": ["1 2 3"]})["score"] == 1.0


@pytest.mark.parametrize("form", FORMS)
def test_usage_after_the_program_does_not_replace_it(form: str) -> None:
    truth, program = FORMS[form]
    answer = f"The program:\n```python\n{program}\n```\nFor example:\n```python\n{USAGE[form]}\n```\nThat is all."
    assert _score_response(make_response(answer), truth)["score"] == 1.0
    assert _score_response(answer, truth)["score"] == 1.0


@pytest.mark.parametrize("form", FORMS)
def test_program_in_parts(form: str) -> None:
    truth, program = FORMS[form]
    first, last = ("n = input()", "print(sum(map(int, n.split())))") if form == "texts" else ("import copy", program)
    last = last.replace("return", "copy\n        return" if form == "method" else "copy\n    return")
    answer = f"```python\n{first}\n```\nthen\n```python\n{last}\n```"
    assert _score_response(make_response(answer), truth)["score"] == 1.0


def test_tests_that_import_everything() -> None:
    truth = {"pytest": "from solution import *\n\ndef test_a():\n    pair = [1, 2]\n    assert swap(pair)[0] == 2\n"}
    assert _score_response(f"```python\n{SWAP}\n```\n```python\nprint(swap([1, 2]))\n```", truth)["score"] == 1.0


EXITING = "class E(Exception):\n    def __str__(self):\n        raise SystemExit(0)\n    __repr__ = __str__\n"
CANCELLING = "import asyncio\nasync def run():\n    asyncio.current_task().cancel()\n    await asyncio.sleep(9)\n"
FORGING = (
    'import os\nfor number in range(3, 12):\n    try: os.write(number, b\'{{"i": 0, "v": {}}}\\n\')\n'
    "    except OSError: pass\nos._exit(0)"
)
ODD = {
    "exception that exits": f"{EXITING}def swap(p):\n    raise E",
    "exception that exits, at import": f"{EXITING}raise E",
    "exception of an odd name": "E = type('E\\ud800' * 10**5, (BaseException,), {})\ndef swap(p):\n    raise E",
    "exception that holds itself": "def swap(p):\n    error = ValueError()\n    error.args = (error, swap)\n    raise error",
    "GeneratorExit": "def swap(p):\n    raise GeneratorExit",
    "GeneratorExit at import": "raise GeneratorExit",
    "KeyboardInterrupt": "def swap(p):\n    raise KeyboardInterrupt",
    "cancelled task": f"{CANCELLING}def swap(p):\n    return asyncio.run(run())",
    "cancelled task at import": f"{CANCELLING}asyncio.run(run())",
    "long integer": "def swap(p):\n    return 7**100000",
    "long integers": "def swap(p):\n    return [{7**100000: 8**100000}]",
    "deep value": "def swap(p):\n    a = []\n    for _ in range(100_000): a = [a]\n    return a",
    "less deep value": "def swap(p):\n    a = []\n    for _ in range(290): a = [a]\n    return a",
    "text with surrogates": "def swap(p):\n    return '\\ud800' * 9",
    "large value": "def swap(p):\n    return [[]] * 100_000",
    "forged bytes": FORGING.format('{\\"b\\": 10000000000000}'),
    "forged deep value": FORGING.format("' + b'[' * 100_000 + b'"),
}


@pytest.mark.parametrize("truth", [CALLS, ASSERTS, HELPED, WHOLE, PLAIN_MODULE, MODULE], ids=lambda truth: str(truth)[2:12])
@pytest.mark.parametrize("code", ODD.values(), ids=ODD)
def test_wrong_program_never_fails_the_row(code: str, truth: Any) -> None:
    with collect_reasons() as reasons:
        assert _score(code, truth)["score"] == 0.0
    assert all(len(reason) < 400 for reason in reasons)


def test_large_right_values_and_texts() -> None:
    numbers = {"fn_name": "f", "inputs": [[n] for n in range(3)], "outputs": [[n] * 30_000 for n in range(3)]}
    assert _score("def f(n):\n    return [n] * 30_000", numbers)["score"] == 1.0
    assert _score("def f(n):\n    return [min(n, 1)] * 30_000", numbers)["score"] == pytest.approx(2 / 3)
    text = {"inputs": [""], "outputs": ["\n".join(map(str, range(30_000)))]}
    assert _score("for n in range(30_000): print(float(n))", text)["score"] == 1.0
    assert _score("for n in range(30_000): print(n + 0.5)", text)["score"] == 0.0


def test_long_integer_is_expected() -> None:
    truth = {"pytest": f"from solution import f\ndef test_a():\n    assert f(1) == 0x{'f' * 5000}"}
    with collect_reasons():
        assert _score("def f(n):\n    return 16 ** 5000 - n", truth)["score"] == 1.0
        assert _score("def f(n):\n    return 16 ** 5000", truth)["score"] == 0.0

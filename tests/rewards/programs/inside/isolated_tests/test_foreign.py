"""Classes and objects of the tests in the hands of the program."""

from __future__ import annotations

import pytest

from tests.rewards.programs.inside.isolated_tests.running import run_module

MODULE = """
import copy, enum, functools, io
import pytest
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple
from solution import *

class Mine(Exception): pass
class Item:
    def __init__(self, n): self.n = n
    def total(self, k=1): return self.n * k
    def __eq__(self, other): return isinstance(other, Item) and self.n == other.n
    def __hash__(self): return hash(self.n)
class Special(Item): pass
class Row(NamedTuple):
    a: int
    b: int = 2
class Color(str, enum.Enum):
    RED = "r"
class Words(list): pass
@dataclass
class Point:
    x: int
    y: int = 0
def fail(): raise Mine("m")

def test_exceptions():
    with pytest.raises(Mine, match="m") as caught:
        call(fail)
    assert type(caught.value) is Mine
    assert catch(fail, Mine) == "Mine: m" and catch(fail, (KeyError, Exception)) == "Mine: m"

def test_classes():
    item, special = Item(1), Special(2)
    assert pick([1, item, special, "x"], Item) == [item, special] and pick([item, special], Special) == [special]
    assert create(Item, 4).n == 4 and type(create(Special, 1)) is Special and name(item) == "Item"
    assert call(lambda: item) is item and unique([Item(1), Item(1), Item(3)]) == 2

def test_values():
    assert second(Row(1)) == 2 and call(lambda: Row(5)).a == 5 and total(Row(1, 3)) == 4
    assert upper(Color.RED) == "R" and same(Color.RED, Color.RED)
    assert total(Words([1, 2])) == 3 and attribute(SimpleNamespace(n=3), "n") == 3
    words = Words([3, 1])
    order(words)
    assert words == [1, 3] and type(words) is Words

def test_members():
    item = Item(3)
    assert attribute(item, "n") == 3 and attribute(item, "missing") is None and attribute(item, "total")(2) == 6
    assert variables(item) == {"n": 3} and duplicate(item) == item and duplicate(item) is not item
    assert fields(Point(1)) == {"x": 1, "y": 0}
    put(item, "n", 8)
    assert item.n == 8

def test_functions():
    @twice
    def add(x):
        "Add one."
        return x + 1
    assert add(1) == 4 and add.__name__ == "add" and add.__doc__ == "Add one."
    class Counter:
        @twice
        def add(self, x): return x + self.n
        n = 5
    assert Counter().add(1) == 12
    marker = object()
    assert same(marker, marker) and not same(marker, object())

def test_decorated_class():
    @described
    class Thing:
        x = 3
    assert repr(Thing()) == "Thing with 3"

def test_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\\ntwo\\n")
    with open(path) as file:
        assert lines(file) == ["one\\n", "two\\n"]
"""
PROGRAM = """
import copy, dataclasses, functools
def call(f): return f()
def catch(f, kinds):
    try:
        f()
    except kinds as error:
        return f"{type(error).__name__}: {error}"
def pick(items, kind): return [each for each in items if isinstance(each, kind)]
def create(kind, n): return kind(n)
def name(x): return type(x).__name__
def unique(items): return len(set(items))
def second(row): return row.b if hasattr(row, "b") else None
def total(items): return sum(items)
def upper(text): return text.value.upper() if isinstance(text, str) else None
def same(a, b): return a is b
def attribute(x, name): return getattr(x, name, None)
def order(items): items.sort()
def variables(x): return vars(x)
def duplicate(x): return copy.deepcopy(x)
def fields(x): return dataclasses.asdict(x)
def put(x, name, value): setattr(x, name, value)
def twice(f):
    @functools.wraps(f)
    def inner(*args): return 2 * f(*args)
    return inner
def described(cls):
    cls.__repr__ = lambda self: f"{cls.__name__} with {self.x}"
    return cls
def lines(file): return list(file)
"""


def test_objects_of_the_tests() -> None:
    assert run_module(PROGRAM, MODULE) == [True] * 7


@pytest.mark.parametrize(
    "code",
    [
        "x.check = lambda *a: True",
        "type(x).check = lambda *a: True",
        "type(x).__eq__ = lambda *a: True",
        "x.__class__ = int",
        "type(x).other = property(lambda s: 5)\n    x.value = 5",
        "x.check.__globals__['x'] = 5",
        "x.__init__.__globals__",
        "x._hidden = 5",
        "x.hidden = 5",
    ],
)
def test_program_cannot_change_what_a_test_decides(code: str) -> None:
    module = """
from solution import f
class X:
    def __init__(self): self._hidden = self._value = 0
    def check(self, n): return self._value == n
    @property
    def hidden(self): return self._hidden
    def __eq__(self, other): return False
def test_a():
    x = X()
    f(x)
    assert x.check(5) or x == X() or x.hidden == 5
"""
    assert run_module(
        f"def f(x):\n    try:\n        {code.replace(chr(10), chr(10) + '    ')}\n    except Exception: pass\n", module
    ) == [False]


def test_containers_of_an_object_are_written_back() -> None:
    code = """
class Page:
    def __init__(self): self.links, self.meta, self.rows = [], {"tags": []}, [[0, 0], [0, 0]]
    def add(self, x): self.links.append(x)
    def sizes(self): return len(self.links), len(self.meta["tags"]), sum(map(sum, self.rows))
class Node:
    def __init__(self, v): self.v, self.near = v, []
LOG = []
def log(x): LOG.append(x); return len(LOG)
"""
    module = """
import solution
from solution import Node, Page, log
def test_a():
    page = Page()
    page.links.append("a")
    page.meta["tags"].append("t")
    page.rows[1][0] = 7
    page.meta["x"] = 1
    assert page.sizes() == (1, 1, 7) and page.meta == {"tags": ["t"], "x": 1}
    page.add("b")
    assert page.links == ["a", "b"] and page.links is page.links
    links = page.links
    page.add("c")
    assert page.links is links and len(links) == 3
def test_b():
    a, b = Node(1), Node(2)
    a.near.append(b)
    b.near += [a, b]
    assert a.near[0].near[0] is a and b.near[1] is b and len(a.near) == 1
def test_c():
    log(1)
    solution.LOG.clear()
    assert log(2) == 1 and solution.LOG == [2]
"""
    assert run_module(code, module) == [True] * 3


def test_containers_are_refreshed() -> None:
    code = """
REGISTRY, ROWS = {}, [[n] for n in range(450)]
class Box:
    def __init__(self): self.rows = [[n] for n in range(60)]
    def touch(self, n): self.rows[n].append(n)
def register(name, value): REGISTRY[name] = value
def fill(order): order.items.append(len(order.items)); order.seen["x"] = 1
"""
    module = """
import solution
from solution import REGISTRY, Box, fill, register
class Order:
    def __init__(self): self.items, self.seen = [], {}
def test_a():
    register("a", len)
    assert "a" in REGISTRY and list(REGISTRY) == ["a"]
def test_b():
    boxes = [Box() for _ in range(5)]
    rows = [box.rows for box in boxes]
    for box in boxes:
        box.touch(3)
        assert box.rows[3] == [3, 3]
    rows[4][2].append(9)
    assert boxes[4].rows[2] == [2, 9] and rows[4][3] == [3, 3]
def test_more_than_are_kept():
    boxes = [Box() for _ in range(20)]
    for box in (*boxes, *boxes):
        box.rows[5].append(1)
        box.touch(5)
    assert [box.rows[5] for box in boxes] == [[5, 1, 5, 1, 5]] * 20
def test_c():
    order = Order()
    fill(order)
    fill(order)
    assert order.items == [0, 1] and order.seen == {"x": 1}
def test_d():
    assert len(solution.ROWS) == 450 and solution.ROWS[3] == [3]
"""
    assert run_module(code, module) == [True] * 5

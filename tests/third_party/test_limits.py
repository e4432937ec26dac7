"""Allowed values and ranges are read from source code."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest
from dataclass_reader import Classes
from limits import (
    SourceChangedError,
    argument_bounds,
    arguments,
    assigned,
    assigned_names,
    checked,
    compared,
    enumeration,
    field_bounds,
    members,
    registered,
    stated,
    takes_any,
)
from rules import Rule, apply, values


def limits_of(checks: str) -> dict[str, object]:
    return dict(checked(ast.parse(dedent(checks)).body))


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("assert self.a in ['x', 'y']", {"a": {"enum": ["x", "y"]}}),
        ("assert self.a == 'x', 'message'", {"a": {"enum": ["x"]}}),
        ("valid = {'x': 1}\nif self.a not in valid: raise ValueError()", {"a": {"enum": ["x"]}}),
        ("assert 0 <= self.a < 1", {"a": {"minimum": 0, "exclusiveMaximum": 1}}),
        ("if not 0.0 <= self.a: raise ValueError()", {"a": {"minimum": 0}}),
        ("if self.a < 1 or self.b <= 2: raise ValueError()", {"a": {"minimum": 1}, "b": {"exclusiveMinimum": 2}}),
        ("if self.a is not None and self.a < 0: raise ValueError()", {"a": {"minimum": 0}}),
        ("if self.a is not None:\n    assert self.a in ['x']", {"a": {"enum": ["x"]}}),
        ("for each in self.a:\n    assert each in ['x', 'y']", {"a": {"enum": ["x", "y"]}}),
        (
            "for name in ('a', 'b'):\n    value = getattr(self, name)\n    assert str(value) in {'x'}",
            {"a": {"enum": ["x"]}, "b": {"enum": ["x"]}},
        ),
        ("if self.a and self.b: raise ValueError()", {"a": {"excludes": ["b"]}}),
        # Checks that depend on another value allow it otherwise.
        ("if self.b is not None and self.a > 0: raise ValueError()", {}),
        ("if self.b is not None:\n    assert self.a in ['x']", {}),
        ("if self.b == 1 and self.a < 0: raise ValueError()", {}),
        ("assert self.a > 0 or self.b > 0", {}),
        ("if self.a in known: pass", {}),
    ],
)
def test_checks_of_a_class(check: str, expected: dict[str, object]) -> None:
    assert limits_of(check) == expected


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "source.py"
    path.write_text(
        dedent("""
        Names = Literal["a", "b"]
        TABLE = {"c": one, "d": two}
        BY_KIND = {Kind.ONE: make_one, Kind.TWO: making.make_two}

        class Kind(str, Enum):
            ONE = "one"
            TWO = "two"

        def make_one(first, *, second=1): ...

        def make_any(**options): ...

        class Settings:
            size: int = Field(default=1, ge=1, lt=9)

            def check(self, p):
                if p < 0 or p > 1:
                    raise ValueError()

        @Registry.register("x")
        @other.register(name="y", backend=["z", "w"])
        class Thing:
            def run(self, config):
                if self.mode == "fast": ...
                elif config.get("mode") in ("slow", "off"): ...
        """),
        encoding="utf-8",
    )
    return path


def test_registries_literals_and_comparisons(file: Path) -> None:
    assert assigned(file, "Names") == ["a", "b"]
    assert assigned(file, "TABLE") == ["c", "d"]
    assert assigned_names(file, "BY_KIND") == {"ONE": "make_one", "TWO": "make_two"}
    assert enumeration(file, "Kind") == ["one", "two"]
    assert members(file, "Kind") == {"ONE": "one", "TWO": "two"}
    assert arguments(file, "make_one") == ["first", "second"]
    assert takes_any(file, "make_any") and not takes_any(file, "make_one")
    assert field_bounds(file, "Settings", "size") == {"minimum": 1, "exclusiveMaximum": 9}
    assert argument_bounds(file, "Settings", "check", "p") == {"minimum": 0, "maximum": 1}
    assert registered([file], "Registry.register") == ["x"]
    assert registered([file], "register", "backend") == ["z", "w"]
    assert compared(file, "Thing", "mode") == ["fast", "slow", "off"]
    assert stated(file, "p > 1", {"maximum": 1}) == {"maximum": 1}


def test_a_changed_source_is_an_error(file: Path) -> None:
    for read in (
        lambda: assigned(file, "Gone"),
        lambda: assigned_names(file, "TABLE_GONE"),
        lambda: enumeration(file, "Gone"),
        lambda: takes_any(file, "gone"),
        lambda: field_bounds(file, "Settings", "gone"),
        lambda: argument_bounds(file, "Settings", "check", "gone"),
        lambda: registered([file], "gone"),
        lambda: compared(file, "Thing", "gone"),
        lambda: stated(file, "gone", {}),
    ):
        with pytest.raises(SourceChangedError):
            read()


def test_choices_and_checks_are_limits_of_a_field(tmp_path: Path) -> None:
    path = tmp_path / "source.py"
    path.write_text(
        dedent("""
        MODES = ("x", "y")

        @dataclass
        class Base:
            share: float = 0.5
            mode: str = "x"
            backend: str = field(default=None, metadata={"choices": ["n", "g"]})

            def __post_init__(self):
                if self.mode not in MODES:
                    raise ValueError()

        @dataclass
        class Inner(Base):
            def __post_init__(self):
                super().__post_init__()
                assert self.share <= 1
        """),
        encoding="utf-8",
    )
    fields = Classes([path]).fields("Inner")
    assert {name: field.limits for name, field in fields.items()} == {
        "share": {"maximum": 1},
        "mode": {"enum": ["x", "y"]},
        "backend": {"enum": ["n", "g"]},
    }


def test_rules_add_limits_cases_and_properties() -> None:
    entries: dict[str, dict[str, object]] = {"a.name": {}, "a.dtype": {}, "b.dtype": {}, "a.free": {}}
    apply(
        [
            Rule("*.dtype", values(["x"]), {".name": ["vllm"]}),
            Rule("a.free", values(["y"], also="/"), inside="attention"),
        ],
        entries,
    )
    assert entries == {
        "a.name": {},
        "a.dtype": {"cases": [{"when": {"a.name": ["vllm"]}, "enum": ["x"]}]},
        "b.dtype": {"enum": ["x"]},
        "a.free": {"properties": {"attention": {"enum": ["y"], "also": "/"}}},
    }

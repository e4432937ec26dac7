"""The generated key lists match the pinned upstreams, and dataclasses are read from source."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from dataclass_reader import ABSENT, Classes, Field, Type
from key_files import render_llamafactory, render_templates, render_verl, render_verl_sft

from pipelines.environments.pins import pin
from pipelines.recipe.upstream_keys import KEY_FILES, TEMPLATES_FILE

OUTDATED = "regenerate it: third_party/tools/generate_keys.py"


def test_verl_keys_match_the_checkout() -> None:
    checkout = pin("verl").checkout
    if not (checkout / "verl").is_dir():
        pytest.skip("verl's checkout is missing; `pipeline env sync verl` downloads it")
    for name, render in (("verl", render_verl), ("verl_sft", render_verl_sft)):
        assert render(checkout) == KEY_FILES[name].read_text(encoding="utf-8"), OUTDATED


def test_llamafactory_keys_match_the_checkout_and_its_transformers() -> None:
    pinned = pin("llamafactory")
    found = [
        package
        for platform in ("cpu", "cuda")
        for package in pinned.environment(platform).glob("lib/python3*/site-packages/transformers")
    ]
    if not (pinned.checkout / "src").is_dir() or not found:
        pytest.skip("LLaMA-Factory's environment is missing; `pipeline env sync llamafactory` builds it")
    assert render_llamafactory(pinned.checkout, found[0]) == KEY_FILES["llamafactory"].read_text(encoding="utf-8"), OUTDATED


def test_templates_match_the_checkout() -> None:
    checkout = pin("llamafactory").checkout
    if not (checkout / "src").is_dir():
        pytest.skip("LLaMA-Factory's checkout is missing; `pipeline env sync llamafactory` downloads it")
    assert render_templates(checkout) == TEMPLATES_FILE.read_text(encoding="utf-8"), OUTDATED


@pytest.fixture
def classes(tmp_path: Path) -> Classes:
    file = tmp_path / "source.py"
    file.write_text(
        dedent("""
        class Kind(str, Enum):
            ONE = "one"
            TWO = "two"

        @dataclass
        class Base:
            a: int = 1
            b: Optional[str] = None
            hidden: int = field(default=0, init=False)
            _private: int = 0
            constant: ClassVar[int] = 3

        @dataclass
        class Inner(Base):
            a: float = 2.0
            c: "Literal['x', 'y'] | None" = field(default="x", metadata={"help": "What c\\n   is."})
            d: Kind | str = Kind.ONE
            e: dict[str, int] = field(default_factory=dict)
            f: Union[list[str], str] = "f"
            g: Base = field(default_factory=Base)
            h: torch.dtype = 3
            i: int = 2 * 3
        """),
        encoding="utf-8",
    )
    return Classes([file])


def test_types_defaults_and_help_of_fields(classes: Classes) -> None:
    assert classes.fields("Inner") == {
        "a": Field(Type(("number",)), 2.0, None),
        "b": Field(Type(("null", "string")), None, None),
        "c": Field(Type(("null", "string"), ("x", "y")), "x", "What c is."),
        "d": Field(Type(("string",), ("one", "two")), ABSENT, None),
        "e": Field(Type(("object",)), ABSENT, None),
        "f": Field(Type(("array", "string")), "f", None),
        "g": Field(Type(("object",), cls="Base"), ABSENT, None),
        "h": Field(Type(), 3, None),
        "i": Field(Type(("integer",)), ABSENT, None),
    }
    assert classes.fields("Unknown") == {}

"""The key lists are those of the pinned upstreams, and the reader of dataclasses reads them right."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pipelines.environments.pins import pin
from pipelines.recipe.chat_templates import FILE
from pipelines.recipe.keys.dataclasses import ABSENT, Classes, Field, Type
from pipelines.recipe.keys.document import render_llamafactory, render_templates, render_verl, render_verl_sft
from pipelines.recipe.upstream_keys import KEYS


def test_verl_keys_are_those_of_the_pinned_checkout() -> None:
    checkout = pin("verl").checkout
    if not (checkout / "verl").is_dir():
        pytest.skip("verl's checkout is not here; `pipeline env sync verl` fetches it")
    for name, render in (("verl", render_verl), ("verl_sft", render_verl_sft)):
        assert render(checkout) == KEYS[name].read_text(encoding="utf-8"), "write it anew: see pipelines/recipe/keys"


def test_llamafactory_keys_are_those_of_the_pinned_checkout_and_its_transformers() -> None:
    pinned = pin("llamafactory")
    found = [
        package
        for platform in ("cpu", "cuda")
        for package in pinned.environment(platform).glob("lib/python3*/site-packages/transformers")
    ]
    if not (pinned.checkout / "src").is_dir() or not found:
        pytest.skip("LLaMA-Factory's environment is not here; `pipeline env sync llamafactory` builds it")
    rendered = render_llamafactory(pinned.checkout, found[0])
    assert rendered == KEYS["llamafactory"].read_text(encoding="utf-8"), "write it anew: see pipelines/recipe/keys"


def test_templates_are_those_of_the_pinned_checkout() -> None:
    checkout = pin("llamafactory").checkout
    if not (checkout / "src").is_dir():
        pytest.skip("LLaMA-Factory's checkout is not here; `pipeline env sync llamafactory` fetches it")
    assert render_templates(checkout) == FILE.read_text(encoding="utf-8"), "write it anew: see pipelines/recipe/keys"


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


def test_fields_are_read_with_types_defaults_and_help(classes: Classes) -> None:
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

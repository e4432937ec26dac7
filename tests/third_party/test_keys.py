"""The generated key lists match the pinned upstreams, and dataclasses are read from source."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import dedent

import llamafactory_limits
import pytest
from comparisons import find_unlimited
from dataclass_reader import ABSENT, Classes, Field, Type
from key_files import render_llamafactory, render_templates, render_verl, render_verl_sft
from verl_limits import rl_rules, sft_rules

from pipelines.environments.pins import pin
from pipelines.recipe.upstream_keys import KEY_FILES, TEMPLATES_FILE, keys

OUTDATED = "regenerate it: third_party/tools/generate_keys.py"


def packages(trainer: str, contains: str) -> Path:
    """Return the `site-packages` of a built environment and skip the test if it is not built."""
    pinned = pin(trainer)
    found = [
        package.parent
        for platform in ("cpu", "cuda")
        for package in pinned.environment(platform).glob(f"lib/python3*/site-packages/{contains}")
    ]
    if not pinned.checkout.is_dir() or not found:
        pytest.skip(f"the environment of {trainer} is missing; `pipeline env sync {trainer}` builds it")
    return found[0]


def test_verl_keys_match_the_checkout_and_its_packages() -> None:
    installed = packages("verl", "vllm")
    for name, render in (("verl", render_verl), ("verl_sft", render_verl_sft)):
        assert render(pin("verl").checkout, installed) == KEY_FILES[name].read_text(encoding="utf-8"), OUTDATED


def test_llamafactory_keys_match_the_checkout_and_its_packages() -> None:
    rendered = render_llamafactory(pin("llamafactory").checkout, packages("llamafactory", "transformers"))
    assert rendered == KEY_FILES["llamafactory"].read_text(encoding="utf-8"), OUTDATED


def test_every_rule_is_about_a_key() -> None:
    verl, factory = pin("verl").checkout, pin("llamafactory").checkout
    rules = {
        "verl": rl_rules(verl, packages("verl", "vllm")),
        "verl_sft": sft_rules(verl, packages("verl", "vllm")),
        "llamafactory": llamafactory_limits.rules(factory, packages("llamafactory", "transformers")),
    }
    everywhere = [*keys("verl"), *keys("verl_sft"), *keys("llamafactory")]
    for name, listed in rules.items():
        for rule in listed:
            assert any(fnmatchcase(key, each) for key in keys(name) for each in rule.keys.split()), rule
            for pattern in rule.keys.split():
                assert any(fnmatchcase(key, pattern) for key in everywhere), pattern


# Names of settings without limits that the upstreams compare with literals -> why they have none.
UNLIMITED = {
    "attention_backend": "of SGLang and Megatron",
    "attn_implementation": "of the veomni engine, which lists its own",
    "device": "set by the run",
    "device_name": "a network device",
    "model_revision": "any revision",
    "name": "the rollout's, which has limits; others are free",
    "path": "any path",
    "project": "any name",
    "recompute_method": "of Megatron",
    "resume_from_path": "set by the run",
    "template": "listed in templates.json",
}


def test_every_text_that_an_upstream_compares_has_limits() -> None:
    sources = {
        "verl": pin("verl").checkout / "verl",
        "verl_sft": pin("verl").checkout / "verl",
        "llamafactory": pin("llamafactory").checkout / "src/llamafactory",
    }
    for name, folder in sources.items():
        if not folder.is_dir():
            pytest.skip(f"{folder} is missing; `pipeline env sync` downloads it")
        found = find_unlimited(keys(name), sorted(folder.rglob("*.py")))
        assert found.keys() <= UNLIMITED.keys(), "give them limits in third_party/tools/*_limits.py"


def test_most_keys_that_select_something_have_limits() -> None:
    limited = {"enum", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "cases", "properties", "excludes"}
    counts = {name: sum(bool(limited & entry.keys()) for entry in keys(name).values()) for name in KEY_FILES}
    assert counts["verl"] > 240
    assert counts["verl_sft"] > 30
    assert counts["llamafactory"] > 50


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

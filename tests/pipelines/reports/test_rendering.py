"""A page as HTML: one file, nothing from elsewhere, hostile text as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StepError
from pipelines.reports.embedding import to_script_json
from pipelines.reports.page import Page
from pipelines.reports.rendering import format_number, render, write
from pipelines.reports.report import Report
from pipelines.reports.text import one_line, show
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import write_samples
from tests.pipelines.reports.making import RL, make_run, sample

HOSTILE = (
    "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\x1b[31mred\x1b[0m "
    "\u202egnp.exe \u2028 \ud800 \x00 & \u200b"
)


class Parser(HTMLParser):
    """The elements of a page, and the text of its scripts by id."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = str(dict(attrs).get("id")) if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._script = None


def parse(page: Page) -> tuple[str, Parser]:
    text = "".join(render(page))
    parser = Parser()
    parser.feed(text)
    return text, parser


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Report([make_run(tmp_path / "toy")]).read()


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    text, parser = parse(page)
    policy = next(each["content"] for tag, each in parser.tags if tag == "meta" and "http-equiv" in each)
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy
    for tag, attributes in parser.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base"), tag
        assert not attributes.keys() & {"src", "style", "onclick", "onload"}, (tag, attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text


def test_ids_are_unique_and_labels_exist(page: Page) -> None:
    _, parser = parse(page)
    ids = [each["id"] for _, each in parser.tags if "id" in each]
    assert len(ids) == len(set(ids))
    for _, attributes in parser.tags:
        assert attributes.get("aria-labelledby", ids[0]) in ids
        assert (attributes.get("href") or "#")[1:] in ["", *ids]


def test_data_is_json(page: Page) -> None:
    _, parser = parse(page)
    curves = json.loads(parser.scripts["curves"])
    assert [each["stage"] for each in curves["stages"]] == ["sft", RL]
    assert len(json.loads(parser.scripts["data-samples"])["shown"]) == len(page.samples.shown)


def test_hostile_text_is_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    fields: dict[str, Any] = dict.fromkeys(
        ("response", "prompt", "reason", "truth", "row", "source"), HOSTILE.replace("\ud800", "")
    )
    write_samples(StagePaths(run / "stages" / RL).samples, "train", 41, [sample(41, **fields)], 1)
    metrics = StagePaths(run / "stages" / RL).metrics
    with metrics.open("a") as file:
        file.write(json.dumps({"step": 41, HOSTILE: 1.0, "critic/score/mean": 2.0}) + "\n")
    text, parser = parse(Report([run]).read())
    assert [tag for tag, _ in parser.tags].count("script") == 4
    assert "img" not in [tag for tag, _ in parser.tags]
    assert not re.search("[\x00-\x08\x0b-\x1f\u2028\u202e\ud800-\udfff]", text)
    found = [each for each in json.loads(parser.scripts["data-samples"])["shown"] if each["step"] == 41]
    assert found[0]["response"].startswith("</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\\x1b[31mred")


@pytest.mark.parametrize("end", ["</script>", "<!--", "]]>", "&lt;", "\u2028", "\u2029"])
def test_no_text_ends_a_script(end: str) -> None:
    written = to_script_json({"a": end}).decode()
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {"a": end}


def test_show() -> None:
    assert show("a\tb\nc\x1b[1m\u202e\ud800\u200d\U000e0041") == "a\tb\nc\\x1b[1m\\u202e\\ud800\\u200d\\U000e0041"
    assert show("é漢🙂") == "é漢🙂"
    long = show("x" * 10_000_000, 900)
    assert len(long) < 1000 and "9,999,100 characters left out" in long
    assert one_line("  first\x07 line\nsecond") == "first\\x07 line"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "\u2013"),
        (0, "0"),
        (0.12345, "0.1235"),
        (-3.0, "\u22123"),
        (1e-6, "1e-6"),
        (123456.7, "123,457"),
        (2.5e9, "2.5e9"),
        (40, "40"),
    ],
)
def test_format_number(value: float | None, shown: str) -> None:
    assert format_number(value) == shown


def test_a_folder_that_cannot_be_written(page: Page, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StepError, match=r"cannot write .*; the old file is unchanged"):
        write(page, tmp_path / "file" / "report.html")

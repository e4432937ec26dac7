"""Every converter: golden rows of its example, and the options on its page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from preprocess.converters import CONVERTERS
from preprocess.engine.job import Job, Source
from preprocess.engine.parallel import convert_all
from preprocess.engine.splits import Whole
from preprocess.engine.writing import RowsFile
from preprocess.rows import Shape
from tests import ROOT

PAGES = ROOT / "docs" / "converters"
MADE = [(name, shape) for name, converter in sorted(CONVERTERS.items()) for shape in converter.shapes]


def convert_example(name: str, shape: Shape, path: Path) -> list[str]:
    """Return the rows of the example, read from the written file, then its rejects, each as a line of JSON."""
    example = CONVERTERS[name].example
    file = RowsFile(path, shape, "train")
    rejects = []
    for part in convert_all([Job(Source(name, example), shape, Whole("train"))]):
        for batch in part.batches.values():
            file.write(batch)
        rejects += [{**vars(each), "source": str(Path(each.source).relative_to(example.parent))} for each in part.rejects]
    file.keep()
    rows = pq.read_table(path).to_pylist()
    return [json.dumps(each, ensure_ascii=False) for each in [*rows, *rejects]]


@pytest.mark.parametrize(("name", "shape"), MADE)
def test_golden_rows(name: str, shape: Shape, tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    lines = convert_example(name, shape, tmp_path / "rows.parquet")
    golden(f"converters/{name}.{shape}.jsonl", "".join(f"{line}\n" for line in lines))


def read_sources(page: str) -> list[dict[str, Any]]:
    """Return the sources in the recipes of a page."""
    data = [yaml.safe_load(block)["data"] for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)]
    given = [each.get(side) for each in data for side in ("train", "validation")]
    lists = [each if isinstance(each, list) else [each] for each in given]
    return [source for sources in lists for source in sources if isinstance(source, dict) and "converter" in source]


@pytest.mark.parametrize("name", sorted(CONVERTERS))
def test_page_lists_options_and_has_a_recipe(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    converter = CONVERTERS[name]
    assert [option for option in converter.options.__struct_fields__ if f"`{option}`" not in page] == []
    sources = read_sources(page)
    assert name in {source["converter"] for source in sources}
    for source in sources:
        asked = CONVERTERS[source["converter"]]
        asked.find_record(asked.read_options(source.get("options", {})))


def test_names_and_help() -> None:
    for name, converter in CONVERTERS.items():
        assert converter.name == name
        assert converter.shapes
        assert converter.help

"""The shapes that `--json` prints are documented."""

from __future__ import annotations

import msgspec
import pytest

from pipelines.results.cleaning import Cleaning, Item, Kept
from pipelines.results.files import Exported, File, Pushed, format_size
from tests import ROOT


@pytest.mark.parametrize(
    ("heading", "shapes"), [("Export", [Exported, File]), ("Push", [Pushed]), ("Clean", [Cleaning, Item, Kept])]
)
def test_every_field_is_documented(heading: str, shapes: list[type[msgspec.Struct]]) -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for shape in shapes:
        for field in msgspec.structs.fields(shape):
            assert f"`{field.name}`" in section, f"{shape.__name__}.{field.name}"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0.0 kB"), (541_800, "541.8 kB"), (3_000_000, "3 MB"), (15_200_000_000, "15.2 GB")]
)
def test_sizes(count: int, text: str) -> None:
    assert format_size(count) == text

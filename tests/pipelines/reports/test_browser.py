"""The page in a real browser: drawn, zoomed, filtered, read by keyboard, by a screen reader and on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.reports.report import Report
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import write_samples
from tests.pipelines.reports.making import RL, make_run, sample

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]


def chart(page: Page, title: str) -> Locator:
    found = page.locator("figure.chart", has=page.get_by_text(title, exact=True)).first
    found.scroll_into_view_if_needed()
    found.locator(".plot > svg").wait_for()
    return found


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1920, True)])
def test_no_serious_findings_of_axe(open_page: Open, report_file: Path, width: int, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = open_page(report_file, width=width, dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    page.locator("#samples").scroll_into_view_if_needed()
    page.locator("#sample pre").first.wait_for()
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, [(each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"]) for each in serious]


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_nothing_is_wider_than_the_page(open_page: Open, report_file: Path, width: int) -> None:
    page = open_page(report_file, width=width)
    page.locator("#samples").scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_curves_are_drawn(open_page: Open, report_file: Path) -> None:
    page = open_page(report_file)
    reward = chart(page, "reward")
    assert reward.locator("path.line").count() == 1
    assert reward.locator("path.area").count() == 1
    assert chart(page, "seconds per step by phase").locator("path.part").count() == 6
    assert chart(page, "accuracy").locator("path.line").count() >= 1
    assert reward.locator("table.summary tbody tr").count() == 1


def test_zoom_by_mouse_and_keyboard(open_page: Open, report_file: Path) -> None:
    page = open_page(report_file)
    entropy = chart(page, "entropy")
    plot = entropy.locator(".plot")
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 80, steps=4)
    page.mouse.up()
    button = entropy.get_by_role("button", name="show all steps")
    button.wait_for()
    assert chart(page, "reward").get_by_role("button", name="show all steps").count() == 1, "curves of a stage zoom together"
    entropy.locator("details.values summary").click()
    rows = entropy.locator("details.values tbody tr")
    rows.first.wait_for()  # the browser reports that it is open a moment later
    assert 4 <= rows.count() <= 14, "the table has the steps of the picture"
    button.click()
    assert rows.count() == 40
    plot.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#spoken").inner_text().startswith("step 2, ")
    page.keyboard.press("+")
    button.wait_for()
    page.keyboard.press("0")
    assert button.count() == 0


def test_samples_by_keyboard_and_filter(open_page: Open, report_file: Path) -> None:
    page = open_page(report_file)
    page.locator("#samples").scroll_into_view_if_needed()
    position = page.locator("#position")
    page.locator("#sample pre").first.wait_for()
    assert position.inner_text() == "1 of 324"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert position.inner_text() == "2 of 324"
    page.get_by_label("split").select_option("validation")
    assert position.inner_text() == "1 of 4 (filtered from 324)"
    page.get_by_label("split").select_option("")
    page.get_by_label("first step", exact=True).fill("40")
    page.get_by_label("least reward", exact=True).fill("0.1")
    detail = page.locator("#sample")
    assert detail.locator("h3").inner_text().startswith("stage-one, step 40, train")
    page.get_by_label("least reward", exact=True).fill("99")
    assert position.inner_text() == "none of 324 samples"
    page.get_by_label("least reward", exact=True).fill("")
    page.get_by_label("text").fill("test 3 of 7")
    assert "expected 3, found ValueError" in detail.locator("pre.why").inner_text()
    page.get_by_role("button", name="next →").click()
    assert position.inner_text().startswith("2 of ")


def test_hostile_samples_are_text(open_page: Open, tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy", steps=1)
    hostile = (
        "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\x1b[31m\u202edlrow"
    )
    fields: dict[str, Any] = {"row": hostile, "source": hostile, "reason": hostile, "prompt": hostile}
    write_samples(
        StagePaths(run / "stages" / RL).samples, "train", 1, [sample(1, response=hostile + "y" * 3_000_000, **fields)], 1
    )
    Report([run]).write(run / "report.html")
    page = open_page(run / "report.html")
    page.locator("#samples").scroll_into_view_if_needed()
    page.locator("#sample pre").first.wait_for()
    assert page.title() == "toy \u2013 report"
    shown = page.locator("#sample pre").nth(1).inner_text()
    assert "<script>document.title='owned'</script>" in shown and "\\x1b[31m\\u202edlrow" in shown
    assert "characters left out" in shown
    assert page.locator("img").count() == 0


def test_two_runs_over_each_other(open_page: Open, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"), 1)]
    Report(runs).write(tmp_path / "both.html")
    page = open_page(tmp_path / "both.html")
    reward = chart(page, "reward")
    assert reward.locator("path.line").count() == 2
    assert reward.locator("path.area").count() == 2
    classes = [each.get_attribute("class") for each in reward.locator("path.line").all()]
    assert len(set(classes)) == 2, "another colour and dash for each run"
    names = [each.strip() for each in reward.locator("table.summary tbody th").all_inner_texts()]
    assert names == ["one, mean", "two, mean"]
    assert reward.locator("table.summary .key svg").count() == 2


def test_print(open_page: Open, report_file: Path) -> None:
    page = open_page(report_file)
    assert len(page.pdf()) > 20_000
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("#filter").is_hidden()


def test_without_javascript_the_tables_are_there(chromium: Any, report_file: Path) -> None:
    context = chromium.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(report_file.as_uri())
    assert page.locator("table.summary").count() > 20
    context.close()

"""A page as one HTML file: templates, drawings and data in it, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from pipelines.console.progress import format_seconds
from pipelines.errors import file_error
from pipelines.reports.embedding import to_script_json
from pipelines.reports.page import Curve, Page, Picture
from pipelines.reports.text import show
from preprocess import atomic

_MINUS = "\u2212"


def write(page: Page, path: Path, *, fsync: bool = True) -> None:
    """Write a page as an HTML file; a reader sees the old file or the complete new one.

    Raises:
        StepError: The file cannot be written; the old one is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacement(path, fsync=fsync) as temporary, temporary.open("wb") as file:
            file.writelines(part.encode() for part in render(page))
    except OSError as error:
        raise file_error(f"cannot write {path}: {error.strerror}; the old file is unchanged", error) from None


def render(page: Page) -> Iterable[str]:
    """Yield the parts of the HTML file."""
    style, script = _read("style.css"), _read("page.js")
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    return (
        _environment()
        .get_template("page.html.j2")
        .generate(
            page=page,
            several=len(page.runs) > 1,
            policy=policy,
            style=Markup(style),
            script=Markup(script),
            curves=_embed(page.curves),
            samples=_embed(page.samples),
            names=_embed([run.name for run in page.runs]),
            version=version("code-post-training"),
        )
    )


def _embed(value: Any) -> Markup:
    return Markup(to_script_json(value).decode())


@cache
def _read(name: str) -> str:
    return Path(__file__).with_name("templates").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the source expression that allows exactly this inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipelines.reports"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        # Escaped before HTML is: a control character is no character of HTML.
        finalize=lambda value: show(value) if type(value) is str else value,
    )
    environment.filters |= {
        "number": format_number,
        "brief": lambda value: format_number(value, 3),
        "count": lambda value: f"{value:,}",
        "seconds": format_seconds,
        "figure": lambda value, score: format_number(value) if score else f"{100 * value:.1f}".replace("-", _MINUS),
        "share": lambda value: f"{100 * value:.1f} %",
        "moment": format_moment,
        "rows": list_rows,
        "plural": lambda count, one, many="": f"{count:,} {one if count == 1 else many or one + 's'}",
        "describe": describe_picture,
    }
    return environment


def format_number(value: float | None, digits: int = 4) -> str:
    """Return a number with a few significant digits."""
    if value is None:
        return "\u2013"
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e+").replace("e+", "e")
    text = f"{value:,.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", _MINUS)


def format_moment(text: str) -> str:
    """Return an ISO 8601 time as it is read: `2026-11-28 06:40 UTC`."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def list_rows(picture: Picture) -> list[tuple[int, Curve]]:
    """Return the curves of a picture that have a row in its table, with their places: not the bounds of a band."""
    named = [(place, curve) for place, curve in enumerate(picture.curves) if curve.role in ("line", "part")]
    return named or list(enumerate(picture.curves))


def describe_picture(picture: Picture) -> str:
    """Return a picture in words, for those who do not see it."""
    parts = []
    for _, curve in list_rows(picture)[:4]:
        found = curve.summary
        if found.last is not None:
            name = f"{curve.label}: " if curve.label else ""
            parts.append(
                f"{name}{format_number(found.first)} at step {found.first_step:,} to {format_number(found.last)} at step "
                f"{found.last_step:,}, lowest {format_number(found.low)}, highest {format_number(found.high)}"
            )
    return f"{picture.title}. {'; '.join(parts)}"

"""What was found about a run: lines of one table, each with its verdict."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pipelines.console import tables

Verdict = Literal["ok", "note", "wrong", "unchecked"]
_WORDS: dict[Verdict, str] = {"ok": "", "note": "note: ", "wrong": "WRONG: ", "unchecked": "NOT CHECKED: "}


@dataclass(frozen=True)
class Finding:
    """One line."""

    about: str
    """`machine`, or a stage's name."""
    what: str
    """What was looked at: `disk`, `rows of …`."""
    said: str
    """What was found."""
    verdict: Verdict = "ok"
    """wrong: a run would fail, or not be worth its time; unchecked: it could not be looked at here."""


@dataclass
class Report:
    """All that was found."""

    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What `pipeline run` or a trainer would refuse: mistakes in the recipe, a line each."""

    def add(self, findings: Iterable[Finding]) -> None:
        """Takes more findings in."""
        self.findings += findings

    def refuse(self, problem: str) -> None:
        """Takes a mistake in, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    @property
    def wrong(self) -> list[str]:
        """What is wrong without being a mistake in the recipe, a line each."""
        return [f"{each.about}: {each.what}: {each.said}" for each in self.findings if each.verdict == "wrong"]

    @property
    def unchecked(self) -> bool:
        """Whether there is something that could not be looked at."""
        return any(each.verdict == "unchecked" for each in self.findings)

    def print(self) -> None:
        """Prints the table of what was found."""
        before, lines = "", []
        for each in self.findings:
            about = "" if sys.stdout.isatty() and each.about == before else each.about
            lines.append((about, each.what, _WORDS[each.verdict] + each.said))
            before = each.about
        tables.print_rows(("about", "what", "result"), lines)
        if sys.stdout.isatty():
            print()
        sys.stdout.flush()

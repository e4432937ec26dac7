"""The findings about a run: rows of one table, each with a verdict."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pipelines.console import tables

Verdict = Literal["ok", "note", "wrong", "unchecked"]
_PREFIXES: dict[Verdict, str] = {"ok": "", "note": "note: ", "wrong": "WRONG: ", "unchecked": "NOT CHECKED: "}


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    about: str
    """`machine`, or the name of a stage."""
    what: str
    """What was checked: `disk`, `rows of …`."""
    result: str
    verdict: Verdict = "ok"
    """wrong: a run would fail or be useless; unchecked: it could not be checked on this machine."""


@dataclass
class Report:
    """All findings."""

    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Mistakes in the recipe, one line each."""

    def add_problem(self, problem: str) -> None:
        """Add a mistake in the recipe, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def errors(self, wrong: Iterable[tuple[str, str]] = ()) -> list[str]:
        """Return the mistakes, and what else is wrong, one line each; each is stated once.

        Args:
            wrong: What is wrong in other tables: where, and what.
        """
        found = [(f"{each.about}: {each.what}", each.result) for each in self.findings if each.verdict == "wrong"]
        others = [(place, what) for place, what in (*found, *wrong) if not any(what in problem for problem in self.problems)]
        return list(dict.fromkeys([*self.problems, *(f"{place}: {what}" for place, what in others)]))

    @property
    def unchecked(self) -> bool:
        """Whether something could not be checked."""
        return any(each.verdict == "unchecked" for each in self.findings)

    def print(self) -> None:
        """Print the table."""
        before, lines = "", []
        for each in self.findings:
            about = "" if sys.stdout.isatty() and each.about == before else each.about
            lines.append((about, each.what, _PREFIXES[each.verdict] + each.result))
            before = each.about
        tables.print_rows(("about", "what", "result"), lines)
        if sys.stdout.isatty():
            print()
        sys.stdout.flush()

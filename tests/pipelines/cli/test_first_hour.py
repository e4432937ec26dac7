"""docs/first-hour.md: its commands print what it shows, one after the other in one folder."""

from __future__ import annotations

import re

import pytest

from tests import ROOT
from tests.pipelines.conftest import Call

PAGE = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n\$ pipeline (.*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
COMMANDS = [words.split("#")[0].split() for words in re.findall(r"^pipeline (.*)$", PAGE, re.MULTILINE)]


def test_the_page(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert len(BLOCKS) == 2
    for command, printed in BLOCKS:
        status, out, err = call(*command.split())
        assert (status, out + err) == (0, printed)
    for words in COMMANDS:
        if words[0] in ("plan", "explain", "recipes", "--version"):
            status, out, _ = call(*words)
            assert status == 0 and out
        elif words[0] in ("run", "check"):
            assert call(*words, "-h")[0] == 0


def test_its_recipe_is_that_of_init(call: Call) -> None:
    call("init", "mine", "--from", "execverify.yaml")
    written = "\n".join(line.rstrip() for line in open("mine.yaml").read().splitlines())  # noqa: PTH123, SIM115
    (block,) = re.findall(r"^```yaml\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        assert re.sub(r" +", " ", line) in re.sub(r" +", " ", written)

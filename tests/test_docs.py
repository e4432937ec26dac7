"""README.md and docs/: links lead somewhere, and the commands they print are ones that work."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from tests import ROOT
from tests.pipelines.records.making import make_run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


COMMAND = re.compile(r"^(?:\$ | {4})?(?:pip install -e \. && )?((?:[A-Z_]+=\S* )*pipeline .*)$", re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The `pipeline …` commands that stand on lines of their own."""
    found = []
    for line in COMMAND.findall(page.read_text(encoding="utf-8")):
        words = shlex.split(line, comments=True)
        found.append(words[words.index("pipeline") + 1 :])
    return found


PRINTED = [(page.name, words) for page in PAGES for words in commands(page)]
_CHECKS = [each for each in PRINTED if each[1][0] == "check" and "execverify.yaml" not in each[1]]


def test_pages_print_commands() -> None:
    assert {"README.md", "running.md", "environments.md"} <= {name for name, _ in PRINTED}


@pytest.mark.parametrize(
    ("page", "words"),
    # A check takes up to twenty seconds, and tests of `check` run the same.
    [pytest.param(*each, marks=pytest.mark.nightly) if each in _CHECKS else each for each in PRINTED],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_printed_command_is_one_that_works(
    page: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`run` is planned instead of run, and what would build, fetch or read files is asked for its help."""
    if (
        page in ("clusters.md", "first-hour.md", "recipe.md", "own-converters.md", "tracing.md")
        or "learning_rat=" in " ".join(words)
        or "--rows" in words
    ):
        pytest.skip("has a test of its own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    if words[0] == "run":
        # plan has most options of run; a stage to begin with needs models that are not there
        words = ["plan", *(word for word in words[1:] if word not in ("--fresh", "--detach", "-q", "-v"))]
        if "--from" in words:
            begins = words.index("--from")
            del words[begins : begins + 2]
    elif words[0] == "check":
        # what the trainers answer is tested where they are really asked
        monkeypatch.setattr("pipelines.checks.upstreams.find_built", lambda _: None)
        if "execverify.yaml" in words:
            words = [*words, "--help"]  # its rows are not here
    elif words[0] in ("runs", "status", "logs", "stop", "compare", "estimate"):
        for name in ("smoke", "smoke-2"):
            make_run(tmp_path / "runs" / name)
    elif words[0] in ("env", "data", "evaluate", "export", "push", "chat", "clean", "report"):
        words = [*words, "--help"]
    monkeypatch.setattr(sys, "argv", ["pipeline", *words])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert not exited.value.code, capsys.readouterr().err


def test_the_readmes_mistake(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = re.search(r"^\$ (pipeline plan .*)\n(error: .*)$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert printed is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(printed[1]))
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 2
    assert capsys.readouterr().err.strip() == printed[2]


def test_the_sandboxs_examples_run(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 2
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_example_recipes_have_names_of_their_own() -> None:
    """Recipes of one name share a run directory, which is refused."""
    names: dict[str, str] = {path.stem: path.name for path in (ROOT / "recipes").glob("*.yaml")}
    for page in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            file, extends = re.match(r"# ([\w.-]+\.yaml)\b", block), re.search(r"^extends: ", block, re.MULTILINE)
            # One has mistakes, the other continues the run that it extends.
            if file is None or extends is None or file[1] in ("wrong.yaml", "harder.yaml"):
                continue
            name = re.search(r"^name: ([\w.-]+)$", block, re.MULTILINE)
            assert name is not None, f"{page.name}: {file[1]} has no name"
            assert name[1] not in names, f"{page.name}: {file[1]} has the name of {names[name[1]]}"
            names[name[1]] = f"{page.name}: {file[1]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []

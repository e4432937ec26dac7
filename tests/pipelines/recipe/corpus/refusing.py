"""All wrong recipes, and `pipeline plan` of one in this process."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import typer

from pipelines.cli.plan import print_plan
from pipelines.errors import InputError

from .base import FILES, Wrong
from .documents import EXTENDS, SETS, VARIABLES, YAML
from .stages import CONVERTERS, DATA, LLAMAFACTORY, REWARDS, RL, SECOND, SFT, STRUCTURE, VERL, VERL_SFT
from .top import LAUNCH, TOP

CORPUS: Sequence[Wrong] = [
    *(*TOP, *LAUNCH, *STRUCTURE, *SFT, *SECOND, *DATA, *CONVERTERS, *RL, *REWARDS, *LLAMAFACTORY, *VERL, *VERL_SFT),
    *(*YAML, *EXTENDS, *VARIABLES, *SETS),
]
_REFUSED = "`pipeline run` would refuse this recipe:"


def write_files(folder: Path) -> None:
    """Write the right recipe and its files."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def plan(path: Path, sets: Sequence[str] = ()) -> tuple[int, str, str]:
    """Plan a recipe; return the exit status, the output and the errors, without those of the last line."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            print_plan(path, list(sets), Path("runs"), (None, None), smoke=False, brief=True)
        except InputError as error:
            return error.exit_status, out.getvalue(), f"{err.getvalue()}{error}"
        except typer.Exit as ended:
            return ended.exit_code, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def refuse(wrong: Wrong) -> str:
    """Plan a wrong recipe, x.yaml, in the current folder; return the refusal, empty if it is accepted."""
    Path("x.yaml").write_text(wrong.text, encoding="utf-8")
    status, out, err = plan(Path("x.yaml"), wrong.sets)
    if status != 2:
        return ""
    return out.partition(_REFUSED)[2].replace("\n  ", "\n").strip() if _REFUSED in out else err

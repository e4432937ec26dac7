"""bootcamp: the package's own scores, computed in the sandbox."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rewards import sandbox
from rewards.builtin import grading
from rewards.builtin.bootcamp import bootcamp, find_class, make_cheats
from rewards.errors import GroundTruthError, RewardError
from rewards.plugins.loading import load
from rewards.reasons import collect_reasons
from rewards.trial.checking import check_rows
from rewards.trial.offline import Row

# Has the interface of InternBootcamp's classes. Like some of them, it evaluates code in the response.
PACKAGE = r"""
import re

class Basebootcamp:
    @classmethod
    def verify_score(cls, model_output, identity, format_score=0, short_penalty=True, short_threshold=100, format_penalty=True):
        score = 0.0
        if format_penalty and "</think>" not in model_output:
            return 0.0
        if short_penalty and len(model_output) < short_threshold:
            return 0.0
        found = re.findall(r"\\boxed\{(.*?)\}", model_output)
        try:
            if found:
                score = format_score
                judge = eval(found[-1]) == identity["target"]
                score = 1.0 if judge else format_score
        except Exception:
            pass
        return score

class Game24bootcamp(Basebootcamp):
    pass

class Exactbootcamp(Basebootcamp):
    @classmethod
    def verify_score(cls, model_output, identity, **options):
        answer = re.findall(r"\\boxed\{(.*?)\}", model_output)[-1]
        return 1.0 if abs(eval(answer, globals(), locals()) - identity["target"]) < 1e-6 else 0.0

class Programbootcamp(Basebootcamp):
    @classmethod
    def verify_score(cls, model_output, identity, **options):
        scope = {}
        exec(model_output.rpartition("[answer]")[2].partition("[/answer]")[0], scope)
        return 1.0 if scope.get("x") == identity["target"] else 0.0

class Gradedbootcamp(Basebootcamp):
    @classmethod
    def verify_score(cls, model_output, identity, **options):
        return {"half": 0.5, "nan": float("nan"), "text": "much", "long": 1}[identity["give"]]

class Brokenbootcamp(Basebootcamp):
    @classmethod
    def verify_score(cls, model_output, identity, **options):
        raise KeyError("grid")
"""
THOUGHT = "<think>\n" + "so " * 50 + "</think>\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "internbootcamp").mkdir()
    (tmp_path / "internbootcamp" / "__init__.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield
    sandbox.close_all()
    sys.modules.pop("internbootcamp", None)


def _score(answer: str, source: str = "bootcamp/game24", truth: Any = None, **options: Any) -> dict[str, float]:
    text = json.dumps({"puzzle": "1 2 3 4", "target": 24} if truth is None else truth)
    return dict(asyncio.run(bootcamp(source, answer, text, {}, **options)))


def test_find_class() -> None:
    assert find_class("bootcamp/game24") == "Game24bootcamp"
    assert find_class("bootcamp/KorOperationUnicode2605") == "KorOperationUnicode2605bootcamp"
    for source in ("game24", "bootcamp/", "bootcamp/a.b", "apps"):
        with pytest.raises(GroundTruthError, match="expected bootcamp/<name>"):
            find_class(source)


def test_scores_and_penalties(package: None) -> None:
    right, wrong = THOUGHT + r"\boxed{1*2*3*4}", THOUGHT + r"\boxed{1+2+3+4}"
    assert _score(right) == {"score": 1.0, "accuracy": 1.0, "format": 1.0}
    assert _score(wrong) == {"score": 0.0, "accuracy": 0.0, "format": 1.0}
    assert _score(wrong, format_score=0.1) == {"score": 0.1, "accuracy": 0.0, "format": 1.0}
    assert _score(right.replace("so ", ""))["score"] == 0.0
    assert _score(right.replace("so ", ""), short_penalty=False)["score"] == 1.0
    assert _score(right.replace("so ", ""), short_threshold=20)["score"] == 1.0
    assert _score(right.replace("</think>", ""))["score"] == 0.0
    assert _score(right.replace("</think>", ""), format_penalty=False) == {"score": 1.0, "accuracy": 1.0, "format": 0.0}
    assert _score("", "bootcamp/graded", {"give": "half"})["accuracy"] == 0.5


@pytest.mark.parametrize(
    "hostile",
    [
        r"\boxed{__import__('os')._exit(0)}",
        r"\boxed{__import__('os').kill(0, 9)}",
        r"\boxed{[0 for _ in iter(int, 1)]}",
        r"\boxed{print('{\"score\": 1.0}', flush=True)}",
        r"\boxed{__import__('os').write(1, b'{\"score\": 1.0, \"token\": \"\"}\n')}",
        r"\boxed{'a' * 10 ** 12}",
        r"\boxed{exit()}",
    ],
)
def test_hostile_answers_score_nothing(package: None, hostile: str) -> None:
    assert _score(THOUGHT + hostile, seconds=1.0) == {"score": 0.0, "accuracy": 0.0, "format": 1.0}
    assert _score(THOUGHT + r"\boxed{24}")["score"] == 1.0


@pytest.mark.parametrize("source", ["bootcamp/game24", "bootcamp/exact"])
@pytest.mark.parametrize("name", [name for name in grading.FORGERIES if "pi" not in name])
def test_forged_scores_need_weak_isolation(package: None, source: str, name: str) -> None:
    """With the isolation `weak`, the forgeries work: this is what the check of a reward must find."""
    answer = THOUGHT + rf"\boxed{{{grading.FORGERIES[name]}}}"
    with collect_reasons() as reasons:
        assert _score(answer, source)["score"] == 0.0
    assert "which is refused" in reasons[0]
    if (source, name) not in NO_FORGERY:
        assert _score(answer, source, isolation="weak")["score"] == 1.0


# The first compares for equality, the second by the distance.
NO_FORGERY = {("bootcamp/game24", "a value at no distance"), ("bootcamp/exact", "a value equal to everything")}


def test_a_bootcamp_that_runs_programs_needs_weak_isolation(package: None) -> None:
    answer = "[answer]x = 24[/answer]"
    with pytest.raises(GroundTruthError, match=r"bootcamp/program runs programs of the response .*`isolation: weak`"):
        _score(answer, "bootcamp/program")
    assert _score(answer, "bootcamp/program", isolation="weak")["score"] == 1.0


def test_check_finds_forged_scores(package: None) -> None:
    rows = [Row(0, "a", "bootcamp/game24", json.dumps({"target": 24}), {})]
    assert not check_rows(load("bootcamp"), {}, rows).findings
    found = {each.what for each in check_rows(load("bootcamp"), {"isolation": "weak"}, rows).findings}
    assert {"cheat: a forged verdict", "cheat: the grader's solution", "cheat: a value equal to everything"} <= found


def test_invalid_scores_are_zero(package: None) -> None:
    for give in ("nan", "text"):
        assert _score("", "bootcamp/graded", {"give": give})["score"] == 0.0
    with collect_reasons() as reasons:
        assert _score("", "bootcamp/broken")["score"] == 0.0
    assert reasons[0] == "verify_score raised KeyError: 'grid'"


def test_missing_class(package: None) -> None:
    with pytest.raises(GroundTruthError, match="has no class Game25bootcamp; did you mean 'bootcamp/Game24'"):
        _score("", "bootcamp/Game25")


def test_ground_truth_is_not_json(package: None) -> None:
    with pytest.raises(GroundTruthError, match="not JSON"):
        asyncio.run(bootcamp("bootcamp/game24", "", "{", {}))


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.builtin.bootcamp.PACKAGE", "missing_internbootcamp")
    with pytest.raises(
        RewardError, match=rf"uv pip install --python {re.escape(sys.executable)} -e ./InternBootcamp$"
    ) as error:
        _score("")
    assert "verl's environment" in str(error.value) and "\n" not in str(error.value)


def test_cheats(package: None) -> None:
    truth = json.dumps({"puzzle": "1 2 3 4", "target": 24})
    for name, cheat in make_cheats(truth, {}).items():
        assert _score(cheat) == {"score": 0.0, "accuracy": 0.0, "format": 1.0}, name

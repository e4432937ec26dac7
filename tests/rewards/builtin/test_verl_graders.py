"""verl: its graders, run in the sandbox without the rest of verl."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rewards import sandbox
from rewards.builtin import grading, verl_graders
from rewards.builtin.verl_graders import make_cheats, make_reference, verl
from rewards.errors import GroundTruthError, RewardError
from rewards.reasons import collect_reasons
from tests import ROOT

# Same structure as in verl: a chain of data sources with one module each, some of which evaluate code in the response.
DISPATCH = """
from verl.utils.import_utils import deprecated

def default_compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    if data_source == "openai/gsm8k":
        from . import gsm8k
        res = gsm8k.compute_score(solution_str, ground_truth)
    elif data_source in ["math_dapo", "math"] or data_source.startswith("aime"):
        from . import dapo
        res = dapo.compute_score(solution_str, ground_truth)
    elif data_source in ["numina"]:
        from . import prime
        res = prime.compute_score(solution_str, ground_truth)
    elif data_source in ["needs_much"]:
        from . import needy
        res = needy.compute_score(solution_str, ground_truth)
    else:
        raise NotImplementedError(data_source)
    return res if isinstance(res, dict) else float(res if isinstance(res, (int, float, bool)) else res[0])

@deprecated("it")
def _default_compute_score(*args):
    return default_compute_score(*args)
"""
MODULES = {
    "gsm8k.py": "import re\ndef compute_score(s, t):\n    return float(re.findall('#### (.*)', s)[-1:] == [t])\n",
    "dapo.py": "def compute_score(s, t):\n"
    "    ok = ('Answer: ' + t) in s\n    return {'score': 1.0 if ok else -1.0, 'acc': ok, 'pred': s}\n",
    "prime/__init__.py": "from verl.utils.py_functional import timeout_limit\nfrom .grader import same\n"
    "@timeout_limit(seconds=10)\ndef compute_score(s, t):\n"
    "    with timeout_limit(seconds=1):\n        return same(s, t), True, s\n",
    "prime/grader.py": "def same(a, b):\n    a = a.partition('{')[2].rpartition('}')[0].replace('\\\\pi', '3.14')\n"
    "    return eval(a) == eval(b)\n",
    "needy.py": "import json\nimport a_missing_package\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "verl" / "utils" / "reward_score"
    (folder / "prime").mkdir(parents=True)
    (tmp_path / "verl" / "__init__.py").write_text("raise ImportError('verl itself was imported')")
    (folder / "__init__.py").write_text(DISPATCH)
    for name, source in MODULES.items():
        (folder / name).write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    yield
    _forget()
    sandbox.close_all()


def _forget() -> None:
    for function in (verl_graders.read_graders, verl_graders.read_sources, verl_graders.find_modules):
        function.cache_clear()


def _score(source: str, response: str, truth: Any, **options: Any) -> dict[str, float]:
    return dict(asyncio.run(verl(source, response, truth, {}, **options)))


def test_read_graders(package: None) -> None:
    graders, _ = verl_graders.read_graders()
    assert graders == {
        "openai/gsm8k": "gsm8k", "math_dapo": "dapo", "math": "dapo", "aime*": "dapo", "numina": "prime", "needs_much": "needy",
    }  # fmt: skip
    assert verl_graders.find_grader("aime2025", graders) == "dapo"


def test_results_of_graders(package: None) -> None:
    assert _score("openai/gsm8k", "#### 72", "72") == {"score": 1.0, "accuracy": 1.0, "format": 0.0}
    assert _score("openai/gsm8k", "#### 71", "72")["score"] == 0.0
    assert _score("aime2025", "Answer: 34", "34") == {"score": 1.0, "accuracy": 1.0, "format": 0.0}
    assert _score("math", "?", "34") == {"score": -1.0, "accuracy": 0.0, "format": 0.0}
    assert _score("numina", "{1 + 1}", "2")["accuracy"] == 1.0


def test_ground_truth_of_converters(package: None) -> None:
    assert _score("openai/gsm8k", "#### 72", json.dumps({"answer": "72"}))["score"] == 1.0


@pytest.mark.parametrize(
    "hostile",
    [
        "{__import__('os')._exit(0)}",
        "{__import__('os').kill(0, 9)}",
        "{[0 for _ in iter(int, 1)]}",
        "{exit()}",
        "{1 / 0}",
        '{print(\'{"result": {"score": 1.0}}\')}',
    ],
)
def test_hostile_answers_score_nothing(package: None, hostile: str) -> None:
    assert _score("numina", hostile, "2", seconds=1.0)["score"] == 0.0
    assert _score("numina", "{2}", "2", seconds=1.0)["score"] == 1.0


@pytest.mark.parametrize("name", grading.FORGERIES)
def test_forged_scores_are_refused(package: None, name: str) -> None:
    with collect_reasons() as reasons:
        assert _score("numina", f"{{{grading.FORGERIES[name]}}}", "2")["score"] == 0.0
    assert any("which is refused" in each for each in reasons)
    if "verdict" in name:
        assert _score("numina", f"{{{grading.FORGERIES[name]}}}", "2", isolation="weak")["score"] == 1.0


def test_reason_of_a_failed_grader(package: None) -> None:
    with collect_reasons() as reasons:
        _score("numina", "{1 / 0}", "2")
    assert reasons[0].startswith("the grader raised ZeroDivisionError")


def test_unknown_data_source(package: None) -> None:
    with pytest.raises(GroundTruthError, match="no grader for the data source 'gsm8k'; did you mean 'openai/gsm8k'"):
        _score("gsm8k", "", "")


def test_missing_package(package: None) -> None:
    with pytest.raises(RewardError, match=r"needs a_missing_package, which is not installed: uv pip install --python "):
        _score("needs_much", "", "")


def test_missing_verl(monkeypatch: pytest.MonkeyPatch) -> None:
    _forget()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RewardError, match="verl is not installed in this Python; score with that of verl's environment"):
        _score("openai/gsm8k", "", "72")
    _forget()


def test_programs_are_scored_by_code_tests(package: None) -> None:
    truth = json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["1", "2"]})
    assert _score("apps", "```python\nprint(input())\n```", truth)["accuracy"] == 1.0
    assert _score("taco", "```python\nprint(1)\n```", truth)["accuracy"] == 0.5


@pytest.mark.real
@pytest.mark.parametrize(
    ("source", "truth"),
    [
        ("openai/gsm8k", "72"),
        ("lighteval/MATH", r"\frac{1}{2}"),
        ("math_dapo", "34"),
        ("aime2025", "34"),
        ("searchR1_nq", json.dumps({"target": ["Paris", "Lutetia"]})),
    ],
)
def test_pinned_verl(source: str, truth: str, monkeypatch: pytest.MonkeyPatch, trainer_python: Callable[[str], Path]) -> None:
    trainer_python("verl")
    checkout = ROOT / "third_party" / "verl" / "checkout"
    monkeypatch.syspath_prepend(str(checkout))
    _forget()
    worst = _score(source, "", truth)["score"]
    assert _score(source, make_reference(truth, {}) or "", truth)["accuracy"] == 1.0
    for name, cheat in make_cheats(truth, {}).items():
        assert _score(source, cheat, truth) == {"score": worst, "accuracy": 0.0, "format": 0.0}, name
    _forget()

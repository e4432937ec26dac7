"""The interpreter tool: its configuration, and its replies in verl's agent loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from pipelines.recipe.schema import RlStage, Tool
from pipelines.trainers.base import Launch
from pipelines.trainers.verl.plugin.tool_usage import Usage, summarise
from pipelines.trainers.verl.rl.config import launch
from preprocess.config import Sandbox
from rewards.builtin.interpreter_tool import ARGUMENT, NAME, SCHEMA, make_reply
from rewards.sandbox import Program, get
from tests import ROOT
from tests.pipelines.trainers.verl.stages import context, rl_stage
from tests.pipelines.trainers.verl.training import run_probe

PROBE = Path(__file__).with_name("tool_probe.py")

# Quotes, brackets, XML entities, part of a tag, and letters outside ASCII.
CODE = "for a in [1, 2]:\n    if a < 2 and 1 > 0 and '</' != \"{}\":\n        print(f'{a}: é &amp;', {'b': '\\n'})"
REPLY = "1: é &amp; {'b': '\\n'}"

Outcomes = dict[str, dict[str, Any]]


def tool_stage(**tool: Any) -> RlStage:
    return rl_stage(tool={"name": NAME, **tool})


def render(stage: RlStage, url: str | None = None) -> Launch:
    base = context(stage)
    sandbox = Sandbox(url=url, workers=2)
    return launch(stage, replace(base, recipe=base.recipe.model_copy(update={"sandbox": sandbox})))


def test_configuration_of_the_tool(golden: Callable[[str, str], None]) -> None:
    rendered = launch(stage := tool_stage(stateful=True, max_turns=6, format="qwen3_coder"), context(stage, "cuda"))
    turns = YAML(typ="safe").load(rendered.files["train.yaml"])["actor_rollout_ref"]["rollout"]["multi_turn"]
    shown = [json.dumps(turns, indent=1), rendered.files["agent_loops.yaml"], rendered.files["tool.yaml"]]
    golden("verl/tool_cuda.txt", "\n".join(shown))


def test_stage_without_the_tool_has_no_tool_settings() -> None:
    rendered = launch(stage := rl_stage(), context(stage))
    assert "multi_turn" not in rendered.files["train.yaml"]
    assert "tool" not in rendered.files["agent_loops.yaml"]
    assert list(rendered.files) == ["train.yaml", "agent_loops.yaml"]


def test_sandbox_is_not_in_the_cache_key() -> None:
    before, after = render(tool_stage()), render(tool_stage(concurrency=4), url="http://localhost:1")
    assert before.files["tool.yaml"] != after.files["tool.yaml"]
    assert before.cache_key_files == after.cache_key_files
    assert before.cache_key_files != render(tool_stage(seconds=3.0)).cache_key_files


def test_docs_page_has_a_valid_stage_and_all_defaults() -> None:
    page = (ROOT / "docs/interpreter.md").read_text(encoding="utf-8")
    block = page.partition("```yaml\n")[2].partition("```")[0]
    (stage,) = YAML(typ="safe").load(block)["stages"]
    assert RlStage.model_validate(stage).tool == Tool(name="python_interpreter", stateful=True)
    defaults = {name: field.default for name, field in Tool.model_fields.items() if name not in ("name", "stateful")}
    for name, default in defaults.items():
        assert f"| `{name}` | {f'`{default}`' if isinstance(default, str) else f'{default:g}'} |" in page


def test_usage_counts_calls() -> None:
    usage = Usage()
    for outcome in ({"verdict": "ok", "seconds": 1.0}, {"verdict": "error"}, {"verdict": "memory"}, {"verdict": "timeout"}, {}):
        usage.add(outcome)
    assert usage == Usage(calls=5, malformed=1, errors=2, timeouts=1, seconds=1.0)
    usage.add_unanswered(parsed=True)
    usage.add_unanswered(parsed=False)
    assert (usage.calls, usage.malformed, usage.cut) == (6, 2, 1)
    assert summarise([]) == {}


@pytest.fixture(scope="module")
def outcomes(verl_python: Path, verl_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Return the outcome of each attempt of tool_probe.py."""
    folder = tmp_path_factory.mktemp("tool")
    files = {
        "stateless": render(tool_stage(max_output_chars=500)),
        "stateful": render(tool_stage(max_output_chars=500, stateful=True, seconds=1.0)),
        "unreachable": render(tool_stage(), url="http://127.0.0.1:9"),
    }
    for name, rendered in files.items():
        (folder / name).mkdir()
        (folder / name / "tool.yaml").write_text(rendered.files["tool.yaml"], encoding="utf-8")
    (folder / "code.json").write_text(json.dumps(CODE), encoding="utf-8")
    return {line.pop("name"): line for line in run_probe(verl_python, verl_environment, PROBE, folder)}


def counted(**counts: int) -> dict[str, Any]:
    zero = {"calls": 0, "malformed": 0, "cut": 0, "errors": 0, "timeouts": 0, "failures": 0, "took_time": True}
    return zero | counts


@pytest.mark.nightly
def test_stateless_calls_are_separate_programs(outcomes: Outcomes) -> None:
    replies, usage = outcomes["stateless"]["value"]
    codes = ["x = 20\nprint(x)", "print(x)", "def f():\n    return 1 / 0\nf()"]
    assert replies == [make_reply(get().run_blocking(Program(code))) for code in codes], "the same replies as in SFT rows"
    assert replies[0] == "20"
    assert replies[1].endswith("NameError: name 'x' is not defined")
    assert "return 1 / 0" in replies[2]
    assert usage == counted(calls=3, errors=2)


@pytest.mark.nightly
def test_stateful_calls_share_their_variables(outcomes: Outcomes) -> None:
    replies, usage = outcomes["stateful"]["value"]
    assert replies[0] == "[nothing was printed]"
    assert replies[1].endswith("KeyError: 'k'")
    assert replies[2:] == ["21", "[nothing was printed]", "22"], "concurrent calls run one after the other"
    assert usage == counted(calls=5, errors=1)


@pytest.mark.nightly
def test_greedy_response_is_greedy_at_every_turn(outcomes: Outcomes) -> None:
    assert outcomes["greedy"] == {"value": [[0, 0], [0.7, 0.7]]}


@pytest.mark.nightly
def test_code_that_times_out(outcomes: Outcomes) -> None:
    replies, usage = outcomes["endless"]["value"]
    late = "[it ran out of time]"
    assert replies == ["[nothing was printed]", late, late, "1"]
    assert usage == counted(calls=4, timeouts=2)


@pytest.mark.nightly
def test_too_much_output(outcomes: Outcomes) -> None:
    (much, little), usage = outcomes["gigabyte"]["value"]
    assert len(much) == len(little) == 500
    assert much.startswith("aaa")
    assert much.endswith("[it printed too much]")
    assert "[… 3,007 characters in all, the middle is left out …]" in little
    assert little.endswith("bbb" + "the end")
    assert usage == counted(calls=2, errors=1)


@pytest.mark.nightly
def test_malformed_calls(outcomes: Outcomes) -> None:
    replies, usage = outcomes["bad_arguments"]["value"]
    expected = f"[the code was not run: {NAME} takes one argument, {ARGUMENT}, a text; "
    assert replies[0].startswith(f"Invalid JSON in arguments for '{NAME}'")
    assert replies[1:6] == [
        f"{expected}the arguments were no mapping]",
        f"{expected}found nothing]",
        f"{expected}found source]",
        f"{expected}it was of type int]",
        f"{expected}it was empty]",
    ]
    assert replies[6] == f"Unknown function 'python'. Available tools: ['{NAME}']"
    assert usage == counted(calls=7, malformed=7, took_time=False)


@pytest.mark.nightly
def test_unreachable_sandbox(outcomes: Outcomes) -> None:
    replies, usage = outcomes["unreachable"]["value"]
    assert replies == ["[the code was not run: the interpreter does not answer]"]
    assert usage == counted(calls=1, failures=1)


@pytest.mark.nightly
def test_session_ends_with_its_response(outcomes: Outcomes) -> None:
    # Whether the session had processes, whether the response was cancelled, and how many processes remain.
    assert outcomes["sessions_end"] == {"value": {"finished": [True, False, 0], "cancelled": [True, True, 0]}}


@pytest.mark.nightly
def test_many_concurrent_responses(outcomes: Outcomes) -> None:
    assert outcomes["many"] == {"value": True}


@pytest.mark.nightly
def test_call_in_the_format_of_each_parser(outcomes: Outcomes) -> None:
    read = outcomes["parsers"]["value"]
    offered = set(get_args(Tool.model_fields["format"].annotation))
    assert offered == set(read) - {"gemma4"}
    assert {name for name, outcome in read.items() if outcome == [[[NAME, {ARGUMENT: CODE}]], [REPLY], True]} == offered


@pytest.mark.nightly
def test_schema_in_prompts_is_the_one_used_for_counting(outcomes: Outcomes) -> None:
    (shown,) = outcomes["schema"]["value"]
    assert json.dumps(shown) == json.dumps(SCHEMA), "including the order of keys, which a chat template renders"


@pytest.mark.nightly
def test_metrics_of_a_step_have_the_usage(outcomes: Outcomes) -> None:
    found = outcomes["step_metrics"]["value"]
    assert found["overridden"]
    metrics = found["metrics"]
    assert (metrics["tool/calls/mean"], metrics["tool/errors/max"], metrics["tool/seconds/mean"]) == (2.0, 1.0, 0.5)
    assert metrics["epoch"] == 7

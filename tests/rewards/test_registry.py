"""Names, signatures and options of rewards, and the errors about them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from rewards.errors import MissingModuleError, RewardError
from rewards.plugins.loading import list_rewards, load
from rewards.plugins.options import read_options
from rewards.registry import Reward, register

if TYPE_CHECKING:
    from nowhere import Nothing  # type: ignore[import-not-found]


def test_every_reward_has_help_and_source() -> None:
    assert {"code_tests", "white_box"} <= {each.name for each in list_rewards()}
    assert all(each.help for each in list_rewards())
    assert {each.source for each in list_rewards() if each.name in ("code_tests", "white_box")} == {"built-in"}
    assert load("code_tests").options["max_tests"] == 10


def test_unknown_name() -> None:
    with pytest.raises(RewardError, match="no reward is called 'white_bix'; did you mean 'white_box'"):
        load("white_bix")


def test_duplicate_name_reports_both_locations(reward: Any) -> None:
    def one(data_source, solution_str, ground_truth, extra_info): ...  # type: ignore[no-untyped-def]

    def two(data_source, solution_str, ground_truth, extra_info): ...  # type: ignore[no-untyped-def]

    reward(one)
    first = one.__code__.co_firstlineno
    with pytest.raises(RewardError) as caught:
        reward(two)
    assert str(caught.value) == f"two rewards are called 'probe': {__file__}:{first} and {__file__}:{first + 2}"
    reward(one)  # the same function again is the same reward


def test_built_in_name_is_taken(reward: Any) -> None:
    with pytest.raises(RewardError, match=r"two rewards are called 'white_box': .*white_box.py:\d+ and "):
        reward(lambda data_source, solution_str, ground_truth, extra_info: 0.0, "white_box")


@pytest.mark.parametrize("name", ["", "two words", "1st", "é", 3, "a/b"])
def test_invalid_names(name: Any) -> None:
    with pytest.raises(RewardError, match="is not a valid reward name"):
        register(name)(lambda data_source, solution_str, ground_truth, extra_info: 0.0)


def everything(data_source: str, solution_str: str, ground_truth: str, extra_info: Any, *, a: int = 1, **kwargs: Any) -> float:
    """Takes all."""
    return 0.0


class Callable:
    async def __call__(self, data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (everything, False),
        (lambda **kwargs: 0.0, False),
        (functools.partial(everything, a=2), False),
        (Callable(), True),
        (lambda data_source, solution_str, ground_truth, extra_info=None: 0.0, False),
    ],
)
def test_valid_signatures(reward: Any, function: Any, is_async: bool) -> None:
    reward(function)
    assert load("probe").is_async is is_async


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda response: 0.0,
            "has no parameter data_source; expected (data_source, solution_str, ground_truth, extra_info, *, ",
        ),
        (lambda *_: 0.0, "has no parameter data_source"),
        (lambda data_source, solution_str, truth, extra_info: 0.0, "has no parameter ground_truth"),
        (lambda data_source, solution_str, ground_truth: 0.0, "has no parameter extra_info"),
        (lambda data_source, /, solution_str, ground_truth, extra_info: 0, "parameter data_source cannot be passed by name"),
        (lambda data_source, solution_str, ground_truth, extra_info, alpha: 0, "parameter alpha would never be passed"),
        (
            lambda data_source, solution_str, ground_truth, extra_info, alpha=1: 0,
            "option alpha is not keyword-only; put `*,` before",
        ),
        (3, "3 is not a function"),
    ],
)
def test_invalid_signatures(function: Any, message: str) -> None:
    with pytest.raises(RewardError) as caught:
        register("probe")(function)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def options(  # type: ignore[no-untyped-def]
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    *,
    share: float = 0.5,
    count: int = 3,
    strict: bool = False,
    style: Literal["plain", "fancy"] = "plain",
    cut: int | None = None,
    names: list[str] = [],  # noqa: B006
    pair: tuple[int, ...] = (1, 2),
    table: dict[str, float] = {},  # noqa: B006
    free=None,
    unknown: Nothing = "x",
    needed: str,
) -> float:
    return 0.0


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"share": 1, "count": 2, "strict": True},
        {"style": "fancy", "cut": None, "names": ["a"], "pair": [1, 2, 3], "table": {"a": 1}},
        {"cut": 4, "free": object(), "unknown": "text"},
    ],
)
def test_valid_options(reward: Any, given: dict[str, Any]) -> None:
    reward(options)
    read_options(load("probe"), {"needed": "x", **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shar": 1.0}, "reward probe has no option 'shar'; did you mean 'share'?"),
        ({"share": "1.0"}, "reward probe: option share is '1.0', expected float such as 0.5"),
        ({"share": True}, "reward probe: option share is True, expected float such as 0.5"),
        ({"count": 1.0}, "reward probe: option count is 1.0, expected int such as 3"),
        ({"strict": 1}, "reward probe: option strict is 1, expected bool such as False"),
        ({"style": "fncy"}, "reward probe: option style is 'fncy', expected 'plain' or 'fancy'; did you mean 'fancy'?"),
        ({"cut": "all"}, "reward probe: option cut is 'all', expected int | None"),
        ({"names": "a"}, "reward probe: option names is 'a', expected list[str] such as []"),
        ({"names": [1]}, "reward probe: option names is [1], expected list[str] such as []"),
        ({"table": {"a": "b"}}, "reward probe: option table is {'a': 'b'}, expected dict[str, float] such as {}"),
        ({"unknown": 3}, "reward probe: option unknown is 3, expected str such as 'x'"),
        ({"needed": None}, "reward probe: option needed is None, expected str"),
    ],
)
def test_invalid_options(reward: Any, given: dict[str, Any], message: str) -> None:
    reward(options)
    with pytest.raises(RewardError) as caught:
        read_options(load("probe"), {"needed": "x", **given})
    assert str(caught.value) == message


def test_options_are_converted_to_their_types(reward: Any) -> None:
    def typed(  # type: ignore[no-untyped-def]
        data_source, solution_str, ground_truth, extra_info, *, pair: tuple[int, int], names: set[str], file: Path, rate=0.5
    ): ...

    reward(typed)
    found = read_options(load("probe"), {"pair": [1, 2], "names": ["a"], "file": "words.txt", "rate": 1})
    assert found == {"pair": (1, 2), "names": {"a"}, "file": Path("words.txt"), "rate": 1.0}


def test_option_without_default_is_required(reward: Any) -> None:
    reward(options)
    assert load("probe").options["needed"] is inspect.Parameter.empty
    with pytest.raises(RewardError, match="reward probe needs the option 'needed'; it has no default"):
        read_options(load("probe"), {})


def test_verl_arguments_are_not_options(reward: Any) -> None:
    def judged(data_source, solution_str, ground_truth, extra_info, *, reward_router_address=None):  # type: ignore[no-untyped-def]
        return 0.0

    reward(judged)
    assert load("probe").options == {}
    assert load("probe").verl_arguments == {"reward_router_address"}


def raising(error: Exception) -> Any:
    def ready() -> None:
        raise error

    return ready


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (MissingModuleError("install it"), MissingModuleError, "install it"),
        (RewardError("no key"), RewardError, "no key"),
        (ImportError("No module named 'x'"), MissingModuleError, "reward probe: ImportError: No module named 'x'"),
        (KeyError("API\nKEY"), RewardError, "reward probe is not ready: KeyError: 'API\\nKEY'"),
    ],
)
def test_failed_check_is_one_line(error: Exception, kind: type[RewardError], message: str) -> None:
    with pytest.raises(RewardError) as caught:
        Reward("probe", everything, source="package mine 1", ready=raising(error)).check_ready(local=False)
    assert (type(caught.value), str(caught.value)) == (kind, message)


def test_service_has_the_packages_of_built_in_rewards() -> None:
    reward = Reward("probe", everything, ready=raising(MissingModuleError("install it")))
    reward.check_ready(local=False)
    Reward("probe", everything).check_ready(local=True)
    with pytest.raises(MissingModuleError, match="install it"):
        reward.check_ready(local=True)

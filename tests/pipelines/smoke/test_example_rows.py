"""The rows of a smoke: local sources, or examples of the converters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InputError
from pipelines.smoke.changes import REMOVED
from pipelines.smoke.example_rows import ROWS, is_local, shrink_data
from preprocess.config import Data
from preprocess.converters import CONVERTERS

MBPP = CONVERTERS["mbpp"].example


@pytest.fixture(autouse=True)
def _empty_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)


def shrunk(**data: Any) -> dict[str, Any]:
    return {key: value for key, value, _, _ in shrink_data(Data.model_validate(data), "mine.yaml:3: data")}


def source(path: object, converter: str = "mbpp", **more: Any) -> dict[str, Any]:
    return {"converter": converter, "source": str(path), **more}


def rated(path: object, rates: dict[str, str]) -> Data:
    return Data.model_validate({"train": source(path, pass_rates=rates), "validation": {"fraction": 0.1}})


def test_local_source_is_limited() -> None:
    found = shrunk(train=source(MBPP, options={"max_tests": 2}), validation={"fraction": 0.1})
    assert found["train"] == [source(MBPP, options={"max_tests": 2}, limit=ROWS)]
    assert "validation" not in found


def test_smaller_limit_is_kept() -> None:
    assert shrunk(train=source(MBPP, limit=5), validation={"fraction": 0.1})["train"][0]["limit"] == 5


@pytest.mark.parametrize(("outcome", "removed"), [("error", True), ("leave_out", True), ("cut", False), (None, False)])
def test_overlong_rows_of_a_tiny_tokenizer_are_no_reason_to_stop(outcome: str | None, removed: bool) -> None:
    found = shrunk(train=source(MBPP), validation={"fraction": 0.1}, overlong=outcome)
    assert (found.get("overlong") is REMOVED) is removed


@pytest.mark.parametrize("missing", ["/nowhere/mbpp.jsonl", "google-research-datasets/mbpp@train"])
def test_missing_source_is_replaced_by_the_example(missing: str) -> None:
    found = shrunk(train=source(missing, options={"max_tests": 2}, limit=9), validation={"fraction": 0.1})
    assert found["train"] == [source(MBPP, options={"max_tests": 2})] * 8


@pytest.mark.parametrize("validation", ["own", source("/nowhere/test.jsonl")])
def test_validation_splits_the_example_by_problems(validation: Any) -> None:
    found = shrunk(train=source("/nowhere/train.jsonl"), validation=validation)
    assert found["validation"] == {"fraction": 0.25}


def test_local_validation_source_is_kept() -> None:
    found = shrunk(train=source("/nowhere/train.jsonl"), validation=source(MBPP))
    assert found["validation"] == [source(MBPP, limit=ROWS)]


def test_validation_by_another_converter_is_its_example() -> None:
    gsm8k = CONVERTERS["gsm8k"].example
    held_out = [source("/nowhere/test.jsonl"), source("/nowhere/gsm8k.jsonl", "gsm8k")]
    found = shrunk(train=source("/nowhere/train.jsonl"), validation=held_out)
    assert found["validation"] == [source(gsm8k, "gsm8k")] * 8


def test_cached_data_set_is_local(tmp_path: Path) -> None:
    name = "google-research-datasets/mbpp:full@train"
    assert not is_local(name)
    (tmp_path / "home" / "datasets" / "google-research-datasets___mbpp").mkdir(parents=True)
    assert is_local(name)


def test_custom_converter_has_no_example(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    message = r"^mine\.yaml:3: data: /nowhere/rows\.jsonl does not exist, and the custom converter mine has no example"
    with pytest.raises(InputError, match=message):
        shrunk(train=source("/nowhere/rows.jsonl", "mine", file=str(tmp_path / "mine.py")), validation={"fraction": 0.1})


def test_unknown_converter_is_kept_for_the_check_of_the_recipe() -> None:
    assert shrunk(train=source("/nowhere/x.jsonl", "nosuch"), validation={"fraction": 0.1})["train"][0]["converter"] == "nosuch"


def test_missing_evaluation_sets_and_pass_rates_are_removed(tmp_path: Path) -> None:
    rates = {"file": "/nowhere/rates.jsonl"}
    against = [{"source": str(MBPP)}, {"source": "/nowhere/eval.jsonl"}]
    found = shrunk(train=source(MBPP, pass_rates=rates), validation={"fraction": 0.1}, decontaminate={"against": against})
    assert found["decontaminate.against"] == against[:1]
    assert "pass_rates" not in found["train"][0]
    texts = {key: shown for key, _, _, shown in shrink_data(rated(MBPP, rates), "")}
    assert texts["train"] == ("mbpp", "its first 2000 records, without its pass rates")
    texts = {key: shown for key, _, _, shown in shrink_data(rated("/nowhere/rows.jsonl", rates), "")}
    assert texts["train"] == ("rows.jsonl", "example of mbpp, without its pass rates")
    found = shrunk(train=source(MBPP), validation={"fraction": 0.1}, decontaminate={"against": against[1:]})
    assert found["decontaminate"] is REMOVED


def test_local_pass_rates_select_among_more_rows(tmp_path: Path) -> None:
    (tmp_path / "rates.jsonl").write_text("")
    found = shrunk(train=source(MBPP, pass_rates={"file": str(tmp_path / "rates.jsonl")}), validation={"fraction": 0.1})
    assert found["train"][0]["limit"] > ROWS and found["train"][0]["pass_rates"] == {
        "file": os.fspath(tmp_path / "rates.jsonl")
    }

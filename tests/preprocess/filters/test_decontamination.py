"""Overlaps with evaluation sets."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from preprocess.config import ComparedSet, Decontamination
from preprocess.converters.shared import wording
from preprocess.errors import SourceError
from preprocess.filters.contents import Contents, find_contents
from preprocess.filters.decontamination import DecontaminationFilter
from preprocess.filters.evaluation_sets import load_decontamination
from preprocess.jobs.prepare import main
from preprocess.rows import Message, RlRow, SftRow, Turn

STATEMENT = (
    "A merchant sells apples from several baskets. Given the weight of every basket and the number of customers, "
    "find the smallest capacity with which all customers can be served before the market closes in the evening."
)
SHORT = "Reverse every second word, keeping punctuation."
SOLUTION = """def capacity(weights, customers):
    low, high = max(weights), sum(weights)
    while low < high:
        middle = (low + high) // 2
        if count(weights, middle) <= customers:
            high = middle
        else:
            low = middle + 1
    return low
"""
EVALUATION = [
    ("eval/0", find_contents([STATEMENT, SOLUTION])),
    ("eval/1", find_contents([SHORT])),
]


def rl(prompt: str, solution: str = "", truth: Any = None) -> RlRow:
    detail = {"solution": solution} if solution else {}
    return RlRow(problem="p", data_source="d", prompt=(Message("user", prompt),), ground_truth=truth or {}, detail=detail)


def sft(question: str, answer: str) -> SftRow:
    return SftRow("p", (Turn("human", question), Turn("gpt", answer)))


@pytest.fixture(scope="module")
def judge() -> DecontaminationFilter:
    made = DecontaminationFilter(13, 0.5)
    made.add("market.jsonl", EVALUATION)
    restored: DecontaminationFilter = pickle.loads(pickle.dumps(made))  # as a worker process receives it
    return restored


@pytest.mark.parametrize(
    "row",
    [
        rl(STATEMENT),
        rl(f"Solve it.\n\n{STATEMENT.upper().replace(',', ' ,')}\nThink first."),
        rl(STATEMENT.replace("find the smallest", "compute the least")),
        sft("Write a program.", f"You were asked: {STATEMENT}"),
        rl("Something else", SOLUTION),
    ],
    ids=["unchanged", "inside other words", "with words exchanged", "in an answer", "its solution"],
)
def test_shared_ngrams_are_an_overlap(row: RlRow | SftRow, judge: DecontaminationFilter) -> None:
    assert judge.judge(row, "x") == ("contaminated", "words in a row are those of eval/0 of market.jsonl")


def test_other_words_are_not_an_overlap(judge: DecontaminationFilter) -> None:
    words = STATEMENT.split()
    assert judge.judge(rl(" ".join(reversed(words))), "x") is None
    assert judge.judge(rl(" ".join(words[:14])), "x") is None, "problems may share one of several sentences"
    assert judge.judge(sft("", ""), "x") is None


WORDS = [f"word{chr(97 + n // 26)}{chr(97 + n % 26)}x" for n in range(100)]


def judge_words(evaluation: list[str], row: list[str], share: float = 0.5) -> bool:
    made = DecontaminationFilter(13, share)
    made.add("eval", [("0", Contents((" ".join(evaluation),), ()))])
    return made.judge(rl(" ".join(row)), "x") is not None


def repeat(*phrases: list[str]) -> list[str]:
    return [word for number, phrase in enumerate(phrases) for word in (*phrase, "unrelated", f"filler{number}")]


def test_repeats_cover_a_text_once() -> None:
    first = WORDS[:13]
    for count in (1, 2, 4, 5, 50):
        assert not judge_words(WORDS, repeat(*[first] * count))
    # Overlapping n-grams that are apart in the row cover the same words of the text.
    assert not judge_words(WORDS, repeat(*(WORDS[start : start + 13] for start in range(30))))
    # Different n-grams anywhere in the row, in any order, add up.
    parts = [WORDS[start : start + 13] for start in (60, 0, 80, 30)]
    assert judge_words(WORDS, repeat(*parts))
    assert not judge_words(WORDS, repeat(*parts[:3], parts[0]))
    assert judge_words(WORDS, WORDS[:50]) and not judge_words(WORDS, WORDS[:49])


def test_text_that_repeats_itself_is_covered_by_as_many_repeats() -> None:
    song = [*WORDS[:13] * 4, *WORDS[50:60]]
    assert judge_words(song, song)
    assert judge_words(song, ["so", *song, "on"])
    assert not judge_words(song, repeat(WORDS[:13]))
    assert judge_words(song, repeat(WORDS[:13], WORDS[:13], WORDS[:13]), share=0.6)


def test_short_text_is_compared_as_a_whole(judge: DecontaminationFilter) -> None:
    found = ("contaminated", "a line is that of eval/1 of market.jsonl")
    assert judge.judge(rl(f"Your task:\n{SHORT.lower()}\nGo."), "x") == found
    assert judge.judge(rl(f"{SHORT} Then sort the words."), "x") is None


RENAMED = '''class Solution:
    def solve(self, piles: list[int], h: int) -> int:
        """Binary search on the answer."""
        a: int
        a, b = max(piles), sum(piles)
        while a < b:
            c: int = (a + b) // 2  # the middle
            if count(piles, c) <= h:
                b = c
            else:
                a = c + 1
        return a
'''


@pytest.mark.parametrize(
    "row",
    [
        rl("Something else", RENAMED),
        rl(f"What does it return?\n```python\n{RENAMED}```\nAnswer."),
        sft("Write it.", f"Here:\n```py\n{RENAMED}```"),
        rl("What does it return?", truth={"func_str": RENAMED}),
    ],
    ids=["solution", "block in a prompt", "block in an answer", "white box"],
)
def test_body_with_other_names_is_an_overlap(row: RlRow | SftRow, judge: DecontaminationFilter) -> None:
    assert judge.judge(row, "x") == ("contaminated", "a function's body is that of eval/0 of market.jsonl")


def test_other_body_is_not_an_overlap(judge: DecontaminationFilter) -> None:
    for change in [("c + 1", "c + 2"), ("max(", "min("), ("<= h", "<= c")]:
        assert judge.judge(rl("Something else", RENAMED.replace(*change)), "x") is None


SIGNATURE = "def {0}(numbers: list[int], limit: int) -> int:"
TASKS = ["sum the {0} numbers", "count {0} below the limit", "find the largest {0}", "merge two lists of {0}"]


def test_prompt_boilerplate_is_not_an_overlap() -> None:
    """Rows of one converter use the same phrases; the problems differ."""
    made = DecontaminationFilter(13, 0.5)
    rows = [wording.ask_code(task.format(f"e{n}"), SIGNATURE.format(f"e{n}")) for n in range(8) for task in TASKS]
    made.add("eval", [(str(place), find_contents([prompt])) for place, prompt in enumerate(rows)])
    for n in range(8):
        row = rl(wording.ask_code(f"multiply all {n} things by one another", SIGNATURE.format(f"t{n}")))
        assert made.judge(row, "x") is None
    assert made.judge(rl(rows[3]), "x") is not None


def test_numbers_and_idioms_are_not_an_overlap() -> None:
    numbers = ", ".join(map(str, range(30)))
    loops = "for i in range(len(s)): for j in range(i + 1, len(s)): if s[i] == s[j]: return i, j"
    made = DecontaminationFilter(13, 0.5)
    made.add("eval", [("0", Contents((f"f([{numbers}])", loops), ()))])
    assert made.judge(rl(f"What is sum([{numbers}])?"), "x") is None
    assert made.judge(rl(f"Explain: {loops}"), "x") is None


def test_text_shared_by_all_rows_is_not_an_overlap() -> None:
    made = DecontaminationFilter(13, 0.5)
    shared = "Answer with one short Python function only"
    made.add("eval", [(str(n), Contents((shared, f"{STATEMENT} Do it {n} times."), ())) for n in range(5)])
    assert made.judge(rl(shared), "x") is None


def test_shorter_ngrams_find_more() -> None:
    pieces = STATEMENT.split()
    cut = " ".join(word for place in range(0, len(pieces), 10) for word in [*pieces[place : place + 10], "etc"])
    for ngram, expected in [(13, False), (10, True)]:
        made = DecontaminationFilter(ngram, 0.5)
        made.add("eval", EVALUATION)
        assert (made.judge(rl(cut), "x") is not None) == expected


def _load(path: Path, converter: str | None = None) -> DecontaminationFilter:
    return load_decontamination(Decontamination(against=[ComparedSet(source=str(path), converter=converter)]))


def write_lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_evaluation_set_with_and_without_converter(tmp_path: Path) -> None:
    record = {"code": SOLUTION.replace("capacity", "f"), "input": "[1], 2", "output": "1", "id": "sample_7"}
    raw = _load(write_lines(tmp_path / "raw.jsonl", record))
    assert raw.sets == {"raw.jsonl": 1}
    assert raw.judge(rl("", RENAMED), "x") == ("contaminated", "a function's body is that of sample_7 of raw.jsonl")
    conversations = [{"from": "human", "value": STATEMENT}, {"from": "gpt", "value": "no"}]
    path = write_lines(tmp_path / "sft.jsonl", {"conversations": conversations})
    converted = _load(path, "execverify_sft")
    assert converted.judge(rl(STATEMENT), "x") is not None


def test_unreadable_evaluation_set_is_an_error(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "eval.jsonl", {"conversations": [{"from": "human", "value": STATEMENT}]})
    with pytest.raises(SourceError, match=r"eval\.jsonl:1: 1 turn,.*; without a converter its texts are compared"):
        _load(path, "execverify_sft")
    with pytest.raises(SourceError, match=r"none\.jsonl does not exist"):
        _load(tmp_path / "none.jsonl")
    path.write_text("\n")
    with pytest.raises(SourceError, match=r"eval\.jsonl has no rows"):
        _load(path)
    (tmp_path / "more.csv").write_text("a,b")
    with pytest.raises(SourceError, match=r"more\.csv is not read: a \.csv file, expected .*; convert it"):
        _load(tmp_path)


def test_prepare_reports_overlaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def turns(question: str) -> dict[str, Any]:
        return {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": "So."}]}

    train = write_lines(tmp_path / "train.jsonl", *(turns(f"question {n}") for n in range(4)), turns(STATEMENT))
    held_out = write_lines(tmp_path / "held-out.jsonl", turns(f"Held out: {STATEMENT}"))
    config = {
        "shape": "sft",
        "train": [{"converter": "execverify_sft", "source": str(train)}],
        "validation": [{"converter": "execverify_sft", "source": str(held_out)}],
        "decontaminate": {
            "against": [{"source": str(write_lines(tmp_path / "eval.jsonl", {"task_id": "e/1", "text": STATEMENT}))}]
        },
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main([str(tmp_path / "config.json")]) == 0
    assert "compared with 1 row of eval.jsonl" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["rows"] == {"train": 4, "validation": 1}, "separate validation rows are not compared"
    assert summary["contaminated"] == {"words in a row are those of e/1 of eval.jsonl": 1}
    (reject,) = map(json.loads, (tmp_path / "out" / "rejects.jsonl").read_text().splitlines())
    assert (reject["kind"], reject["line"], reject["row"]) == ("contaminated", 5, "train:5")

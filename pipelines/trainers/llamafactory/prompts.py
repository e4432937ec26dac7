"""Compare LLaMA-Factory's template with the model's own chat template, which builds the prompts after training.

Templates of LLaMA-Factory are code: one that does not match the model trains it on other prompts than it gets later, without
any error. Runs in LLaMA-Factory's environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from itertools import takewhile
from typing import Any

from preprocess.prompts.rendering import ConversationError, Pair, render_pairs

_ROWS = 16
_EXCERPT = 60
_ROLES = {"human": "user", "gpt": "assistant", "function_call": "function", "observation": "observation"}


def compare_templates(template: Any, tokenizer: Any, name: str | None, file: str, arguments: Mapping[str, Any]) -> list[str]:
    """Compare the first prompt and answer of some rows; return a note if any differs.

    Args:
        template: LLaMA-Factory's template.
        tokenizer: The tokenizer with the chat template after training.
        name: The name of the template; None if it is derived from the chat template.
        file: The parquet file of rows of shape SftRow.
        arguments: Arguments of the chat template.
    """
    expected = [(row, pair) for row in _read_exchanges(file) if (pair := _render(tokenizer, row, arguments)) is not None]
    different = [(row, pair) for row, pair in expected if encode(template, tokenizer, row) != pair]
    if not different:
        return []
    row, pair = different[0]
    # The first part that differs: the prompt, or the answer.
    parts = zip(encode(template, tokenizer, row), pair, strict=True)
    found, wanted = excerpts(*next(map(tokenizer.decode, part) for part in parts if part[0] != part[1]))
    return [
        f"template {name or 'null'} renders {len(different)} of {len(expected)} conversations differently from the model's "
        f"chat template, which builds its prompts after training: {found!r} instead of {wanted!r}"
        f"{_advice(tokenizer, expected, arguments)}"
    ]


def asks_otherwise(template: Any, tokenizer: Any, file: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether the template asks for every answer in another format, not only with another system message.

    The model would be trained to answer prompts that it never gets.
    """
    found = []
    for row in _read_exchanges(file):
        if (pair := _render(tokenizer, row, arguments)) is not None:
            question = row["conversations"][0]["value"].strip()
            used, own = (tokenizer.decode(tokens) for tokens in (encode(template, tokenizer, row)[0], pair[0]))
            begins = own.rpartition(question)[2].lstrip().startswith(used.rpartition(question)[2].strip())
            found.append(question in used and question in own and not begins)
    return bool(found) and all(found)


def count_longer(template: Any, tokenizer: Any, file: str, limit: int) -> int:
    """Return how many rows have more tokens than `limit`, as LLaMA-Factory renders them before it truncates them."""
    import pyarrow.parquet as pq

    longer = 0
    for row in pq.read_table(file, columns=["conversations", "system", "tools"]).to_pylist():
        pairs = template.encode_multiturn(tokenizer, _to_turns(row), row["system"], row["tools"])
        longer += sum(len(tokens) for pair in pairs for tokens in pair) + bool(template.efficient_eos) > limit
    return longer


def encode(template: Any, tokenizer: Any, row: Mapping[str, Any]) -> Pair:
    """Return the tokens of a row's first prompt and answer by a template of LLaMA-Factory."""
    prompt, answer = template.encode_multiturn(tokenizer, _to_turns(row), row["system"], row["tools"])[0]
    return prompt, answer


def _to_turns(row: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"role": _ROLES[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]


def excerpts(found: str, wanted: str) -> tuple[str, str]:
    """Return both texts from shortly before their first difference."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(found, wanted, strict=False)))
    begin = max(0, same - _EXCERPT // 3)
    return found[begin : begin + _EXCERPT], wanted[begin : begin + _EXCERPT]


def _read_exchanges(file: str) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as rows:
        for batch in rows.iter_batches(_ROWS, columns=["conversations", "system", "tools"]):
            for row in batch.to_pylist():
                yield {**row, "conversations": row["conversations"][:2]}
            return


def _render(tokenizer: Any, row: Mapping[str, Any], arguments: Mapping[str, Any]) -> Pair | None:
    try:
        return render_pairs(tokenizer, row, **arguments)[0]
    except ConversationError:
        return None  # reported when the rows are counted


def _advice(tokenizer: Any, expected: Sequence[tuple[Mapping[str, Any], Pair]], arguments: Mapping[str, Any]) -> str:
    """Return which template renders all rows as the chat template does; empty if none does."""
    from llamafactory.data.template import TEMPLATES, ReasoningTemplate

    thinking = bool(arguments.get("enable_thinking", True))
    matching = []
    for name, registered in TEMPLATES.items():
        candidate = copy(registered)
        candidate.enable_thinking = thinking
        if not candidate.replace_jinja_template and all(_matches(candidate, tokenizer, row, pair) for row, pair in expected):
            matching.append(name)
    if not matching:
        return ""
    best = min(matching, key=len)
    mode = (
        f" with llamafactory.enable_thinking {str(thinking).lower()}" if isinstance(TEMPLATES[best], ReasoningTemplate) else ""
    )
    return f"; template {best}{mode} renders all of them equally"


def _matches(candidate: Any, tokenizer: Any, row: Mapping[str, Any], pair: Pair) -> bool:
    try:
        return encode(candidate, tokenizer, row) == pair
    except Exception:  # templates of other models may need tokens that this tokenizer lacks
        return False

"""The text of a model card: YAML for the hub, and Markdown for its readers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from pipelines.console.progress import format_seconds
from pipelines.console.tables import escape_controls
from pipelines.digests import CARD_MARK
from pipelines.evaluation.statistics import Figure
from pipelines.reports.card.evaluations import Evaluated
from pipelines.reports.card.facts import Facts
from pipelines.reports.card.markdown import escape, fenced, table
from pipelines.reports.card.sources import Origin
from rewards.builtin import interpreter_tool

HERE = "path/to/this/folder"
"""The name of a model that is on no hub, in examples."""

_LICENCE = re.compile(r"[A-Za-z0-9][\w.+-]*")


def render(facts: Facts, repository: str | None = None) -> str:
    """Return the text of a card.

    Args:
        facts: What it says.
        repository: The model's name on the hub; None: it is a folder.
    """
    parts = [
        _front_matter(facts),
        f"# {escape(facts.recipe)}: {escape(facts.label)}\n",
        _summary(facts),
        "## Use\n",
        *_examples(facts, repository or HERE),
        "## Training\n",
        _chain(facts),
        *_notes(facts),
        "## Data\n",
        _data(facts),
        "## Evaluation\n",
        _evaluation(facts),
        "## Recipe\n",
        "Files and folders are named without their paths.\n",
        fenced(yaml.safe_dump(_plain(facts.settings), sort_keys=False, allow_unicode=True, width=100), "yaml"),
        "## Provenance\n",
        "".join(f"- {name}: {escape(value, 1000)}\n" for name, value in facts.provenance.items()),
    ]
    return "\n".join(parts)


def _front_matter(facts: Facts) -> str:
    base, names = facts.base, [line.origin.name for line in facts.data if line.origin.on_hub]
    methods = [link.method.partition(",")[0].lower() for link in facts.chain]
    values: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys(["code-post-training", *methods, *(link.trainer.lower() for link in facts.chain)])),
    }
    if base is not None and base.on_hub:
        values |= {"base_model": base.name, "base_model_relation": "finetune"}
    if base is not None and base.licence and _LICENCE.fullmatch(base.licence):
        values["license"] = base.licence
    if names:
        values["datasets"] = list(dict.fromkeys(names))
    if facts.evaluations:
        results = [_result(each) for each in facts.evaluations]
        values["model-index"] = [{"name": f"{facts.recipe}-{facts.label}", "results": results}]
    text = yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{CARD_MARK}\n{text}---\n"


def _plain(value: Any) -> Any:
    """Return a value with escaped control characters in its texts."""
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return escape_controls(value, keep="\n") if isinstance(value, str) else value


def _result(each: Evaluated) -> dict[str, Any]:
    summary = each.summary
    name = summary.metric
    figure = summary.figure(name)
    details = f"{name}, {_interval(figure)}, {summary.sampling}"
    return {
        "task": {"type": "text-generation"},
        "dataset": {"name": summary.name, "type": summary.name},
        "metrics": [{"type": name, "name": details, "value": round(figure.value, 4)}],
    }


def _summary(facts: Facts) -> str:
    base = "a tiny model with random weights" if facts.base is None else _named(facts.base)
    text = f"Trained from {base} by {escape(facts.methods)}, with code-post-training.\n"
    if facts.smoke:
        text += "\n**This is the model of a smoke run, which tries a recipe: it is good for nothing else.**\n"
    return text


def _named(origin: Origin) -> str:
    revision = f" at revision `{origin.revision}`" if origin.revision else ""
    return f"**{escape(origin.name)}**{revision} (licence: {escape(origin.licence or 'unknown')})"


def _examples(facts: Facts, name: str) -> Iterator[str]:
    arguments = "".join(f", {key}={value!r}" for key, value in facts.template.items() if key.isidentifier())
    tools = f"tools = {json.dumps([interpreter_tool.SCHEMA], indent=4)}\n" if facts.tool else ""
    given = ", tools=tools" if facts.tool else ""
    system = f'    {{"role": "system", "content": {json.dumps(interpreter_tool.SYSTEM)}}},\n' if facts.tool else ""
    messages = (
        f'messages = [\n{system}    {{"role": "user", "content": "Write a Python function that reverses a string."}},\n]\n'
    )
    yield "With transformers:\n"
    yield fenced(
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f"name = {json.dumps(name)}\n"
        "tokenizer = AutoTokenizer.from_pretrained(name)\n"
        'model = AutoModelForCausalLM.from_pretrained(name, dtype="auto")\n'
        f"{tools}{messages}"
        "inputs = tokenizer.apply_chat_template(\n"
        f'    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True{given}{arguments}\n'
        ")\n"
        "output = model.generate(**inputs, max_new_tokens=512)\n"
        'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
        "python",
    )
    parser = f" --enable-auto-tool-choice --tool-call-parser {facts.tool.format}" if facts.tool else ""
    yield "With vLLM, as a server with OpenAI's API:\n"
    yield fenced(f"vllm serve {name}{parser}", "bash")
    if facts.tool:
        yield (
            f"The model was trained with the function `{interpreter_tool.NAME}`, which runs Python code and returns what it "
            "prints. "
            "Run the calls in a sandbox: they are code that a model wrote.\n"
        )


def _chain(facts: Facts) -> str:
    header = ("stage", "method", "trainer", "training rows", "steps", "time")
    rows = [
        (
            escape(link.stage),
            escape(link.method),
            link.trainer,
            f"{link.rows['train']:,}" if "train" in link.rows else "unknown",
            f"{link.step:,}" if link.step is not None else "unknown",
            format_seconds(link.seconds) if link.seconds is not None else "",
        )
        for link in facts.chain
    ]
    return table(header, rows)


def _notes(facts: Facts) -> Iterator[str]:
    lines = [f"- {escape(link.stage)}: {escape(note, 500)}\n" for link in facts.chain for note in link.notes]
    if lines:
        yield "".join(lines)


def _data(facts: Facts) -> str:
    rows = [
        (
            escape(line.stage),
            line.split,
            escape(line.origin.name) + (" (hub)" if line.origin.on_hub else ""),
            escape(line.converter),
            f"`{line.origin.revision}`" if line.origin.revision else "unknown",
            escape(line.origin.licence or "unknown"),
        )
        for line in facts.data
    ]
    counts = [
        f"- {escape(link.stage)}: {link.records:,} records gave {link.rows.get('train', 0):,} training and "
        f"{link.rows.get('validation', 0):,} validation rows; {link.rejected:,} gave none{'; ' * bool(link.overlong)}"
        f"{link.overlong}.\n"
        for link in facts.chain
        if link.records is not None
    ]
    listed = table(("stage", "rows", "source", "converter", "revision", "licence"), rows)
    return f"{listed}\n{''.join(counts)}"


def _evaluation(facts: Facts) -> str:
    if not facts.evaluations:
        return "This model was not evaluated.\n"
    rows = [
        (
            escape(each.summary.name) + (f", with {escape(each.tool)}" if each.tool else ""),
            escape(name),
            _show(figure),
            _show(_before(each, name)),
            f"{figure.problems:,}",
            escape(each.summary.sampling),
        )
        for each in facts.evaluations
        for name, figure in each.summary.overall.figures.items()
        if name == each.summary.metric or name.startswith("pass@")
    ]
    header = ("set", "figure", "this model", "before training", "problems", "sampling")
    return f"{table(header, rows)}\nIn parentheses: 95 % intervals over the problems of the set.\n"


def _before(each: Evaluated, name: str) -> Figure | None:
    return each.base.overall.figures.get(name) if each.base is not None else None


def _show(figure: Figure | None) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})" if figure is not None else ""


def _interval(figure: Figure) -> str:
    return f"95 % interval {figure.low:.3f} to {figure.high:.3f}, {figure.problems} problems"

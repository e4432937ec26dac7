"""The keys of LLaMA-Factory's training configuration, including those inherited from transformers, and its chat templates."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import counts
import llamafactory_limits
from dataclass_reader import ABSENT, Classes
from rules import Entry, apply

# hparams/parser.py `_TRAIN_ARGS`, v0.9.5.
_PARSED = ("ModelArguments", "DataArguments", "TrainingArguments", "FinetuningArguments", "GeneratingArguments")


def keys(source: Path, packages: Path) -> dict[str, Entry]:
    """Return every key of a recipe's `llamafactory:` with its type, default, help and limits.

    Args:
        source: the LLaMA-Factory checkout.
        packages: the `site-packages` of its environment.
    """
    transformers = packages / "transformers"
    classes, inherited = Classes(_own_files(source)), Classes(_inherited_files(transformers))
    result: dict[str, Entry] = {}
    for name in _PARSED:
        fields = classes.fields(name)
        if name == "TrainingArguments":
            fields = inherited.fields("Seq2SeqTrainingArguments") | fields
        for key, field in fields.items():
            entry: dict[str, Any] = {}
            names = list(field.type.names)
            if names:
                entry["type"] = names[0] if len(names) == 1 else names
            entry |= field.limits
            if field.type.enum:
                entry["enum"] = [*field.type.enum, *([None] if "null" in names else [])]
            if field.default is not ABSENT:
                entry["default"] = field.default
            if field.help:
                entry["help"] = field.help
            result[key] = entry
    apply(llamafactory_limits.rules(source, packages), result)
    apply(counts.rules("llamafactory", result), result)
    return dict(sorted(result.items()))


def templates(source: Path) -> dict[str, bool]:
    """Return every registered chat template, and whether it replaces the tokenizer's own template."""
    tree = ast.parse(template_file(source).read_text(encoding="utf-8"))
    result = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "register_template":
            arguments = {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)}
            result[str(arguments["name"])] = bool(arguments.get("replace_jinja_template", False))
    return dict(sorted(result.items()))


def openings(source: Path) -> dict[str, str]:
    """Return what templates write after a user's text, up to where the answer begins; `<eos>` is the tokenizer's token.

    Templates that do not write it as literal text are left out.
    """
    tree = ast.parse(template_file(source).read_text(encoding="utf-8"))
    result = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "register_template":
            given = {each.arg: each.value for each in node.keywords}
            name, turn = given["name"], given.get("format_user")
            slots = (
                next((each.value for each in turn.keywords if each.arg == "slots"), None)
                if isinstance(turn, ast.Call)
                else None
            )
            if isinstance(name, ast.Constant) and slots is not None and (text := _read_opening(slots)) is not None:
                result[str(name.value)] = text
    return dict(sorted(result.items()))


def _read_opening(slots: ast.expr) -> str | None:
    try:
        parts = ast.literal_eval(slots)
    except ValueError:
        return None
    after = ""
    for part in reversed(parts):
        if isinstance(part, str) and "{{content}}" in part:
            return part.partition("{{content}}")[2] + after
        text = "<eos>" if part == {"eos_token"} else part.get("token") if isinstance(part, dict) else part
        if not isinstance(text, str):
            return None
        after = text + after
    return None


def template_file(source: Path) -> Path:
    """Return the file that `templates` reads."""
    return source / "src/llamafactory/data/template.py"


def files(source: Path, packages: Path) -> list[Path]:
    """Return the files that define the keys."""
    return _own_files(source) + _inherited_files(packages / "transformers")


def _own_files(source: Path) -> list[Path]:
    package = source / "src/llamafactory"
    return [*sorted((package / "hparams").glob("*.py")), package / "extras/constants.py"]


def _inherited_files(transformers: Path) -> list[Path]:
    names = ("training_args.py", "training_args_seq2seq.py", "trainer_utils.py", "debug_utils.py")
    return [transformers / name for name in names]

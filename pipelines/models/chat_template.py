"""A model's chat template, read and rendered as text: nothing here imports transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.models.folder import read_json_object

TINY = Path(__file__).with_name("chat_template.jinja")
"""The chat template of tiny models."""

TINY_OPENING = "<|im_end|>\n<|im_start|>assistant\n"
"""What it writes between a question and its answer, so that planning a tiny model imports no jinja2."""

_QUESTION = "7 x 8?"


def read_opening(folder: Path) -> str | None:
    """Return what the model's chat template writes between a question and its answer; None: it is not known."""
    config = read_json_object(folder / "tokenizer_config.json")
    template = read_template(folder)
    tokens = {name: _read_token(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    return render_opening(template, tokens) if template is not None else None


def read_template(folder: Path) -> str | None:
    """Return the chat template of a model folder, from the file that transformers prefers; None: it has none."""
    if (file := folder / "chat_template.jinja").is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "tokenizer_config.json"):
        found = read_json_object(folder / name).get("chat_template")
        if isinstance(found, list):  # several, by name
            found = next((each.get("template") for each in found if each.get("name") == "default"), None)
        if isinstance(found, str):
            return found
    return None


def read_eos(folder: Path) -> str:
    """Return the token that ends a text; empty: it is not known."""
    return _read_token(read_json_object(folder / "tokenizer_config.json").get("eos_token"))


def render_opening(template: str, tokens: dict[str, str]) -> str | None:
    """Render a question with a chat template; return what is after its text. None: the template does not render here."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    # As transformers does (utils/chat_template_utils.py).
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda text: text}
    messages = [{"role": "user", "content": _QUESTION}]
    try:
        text = environment.from_string(template).render(messages=messages, add_generation_prompt=True, **tokens)
    except Exception:  # a template is code of any kind: its tokenizer may know more than this
        return None
    return text.rpartition(_QUESTION)[2] if _QUESTION in text else None


def _read_token(found: Any) -> str:
    text = found.get("content") if isinstance(found, dict) else found
    return text if isinstance(text, str) else ""

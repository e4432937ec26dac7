"""Problems as tokens, by the model's chat template. Runs in verl's environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.evaluation.records import Problem
from pipelines.evaluation.spec import Generation
from rewards.builtin.interpreter_tool import SCHEMA, SYSTEM


class PromptError(ValueError):
    """The model's chat template does not render a prompt; one line."""


def adapt_messages(prompt: Sequence[dict[str, str]], *, tool: bool) -> list[dict[str, str]]:
    """Return a prompt with the tool's system message, or without it.

    Rows may be made with or without the tool; whether the model has it is the evaluation's choice.
    """
    messages = [dict(each) for each in prompt if not (each["role"] == "system" and each["content"] == SYSTEM)]
    if tool and (not messages or messages[0]["role"] != "system"):
        messages.insert(0, {"role": "system", "content": SYSTEM})
    return messages


class Prompts:
    """A model's tokenizer and the length of its context.

    Raises:
        PromptError: The model has no chat template.
    """

    def __init__(self, model: str, generation: Generation) -> None:
        from transformers import AutoConfig, AutoTokenizer

        config = AutoConfig.from_pretrained(model)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model)
        if not self.tokenizer.chat_template:
            raise PromptError(
                f"{model} has no chat template, so it cannot be asked; fine-tune it first, or add chat_template.jinja"
            )
        self.model_type: str = config.model_type
        self.positions: int = config.get_text_config().max_position_embeddings
        """Tokens of the longest sequence."""
        self._tool = generation.tool is not None
        self._template = generation.template

    def messages(self, problem: Problem) -> list[dict[str, str]]:
        """Return what the model is asked."""
        return adapt_messages(problem.prompt, tool=self._tool)

    def encode(self, problem: Problem, name: str) -> list[int]:
        """Return the tokens of a prompt.

        Args:
            name: The set's name, for messages.

        Raises:
            PromptError: The template does not render it.
        """
        try:
            return self.render(self.messages(problem))
        except PromptError as error:
            raise PromptError(f"set {name}, row {problem.row}: {error}") from None

    def render(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the tokens of a conversation that the model continues.

        Raises:
            PromptError: The template does not render it.
        """
        tools = {"tools": [SCHEMA]} if self._tool else {}
        try:
            rendered = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=False, **tools, **self._template
            )
        except Exception as error:
            reason = " ".join(str(error).split())
            raise PromptError(f"the model's chat template does not render its prompt: {reason}") from None
        return list(rendered)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of a response as verl's rewards get it."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

"""`python -m pipelines.models.tiny CONFIG.json`: a small model with random weights and a tokenizer learnt from a run's rows.

For trying a recipe without a hub. Runs inside a trainer's environment (transformers, tokenizers, torch, pyarrow). The
same configuration and rows give the same bytes there. Made `like` another model, it has that one's architecture, tokenizer
and chat template, where they can be had; what a person should know of it is written to notes.json beside the configuration.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, PipelineError, StepError
from pipelines.models.likeness import Likeness, read_likeness, shrink_config

MAKES = ("qwen2", "qwen3", "llama")
"""The architectures that can be made by name."""

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

# The words and whitespace are those of Qwen2.5's own template, so that LLaMA-Factory's `qwen` template, which is a
# copy in code, renders the same text.
CHAT_TEMPLATE = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n\
You are provided with function signatures within <tools></tools> XML tags:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:\\n<tool_call>\\n{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n\
</tool_call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or \
(message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


@dataclass(frozen=True)
class Config:
    """What to make."""

    vocabulary: int
    """Tokens; fewer where the rows do not give so many."""
    hidden_size: int
    layers: int
    heads: int
    max_tokens: int
    """Longest sequence."""
    seed: int
    rows: tuple[Path, ...]
    """Parquet files whose texts the tokenizer learns from."""
    output: Path
    """The model's folder; it appears when it is complete."""
    make: str = "qwen2"
    """The architecture, one of MAKES; the other model's where `like` can be had."""
    like: str | None = None
    """A model whose architecture, tokenizer and chat template are taken: a folder or a hub name."""
    tie_word_embeddings: bool = False
    """Whether the output layer is the embedding."""

    @property
    def sizes(self) -> dict[str, Any]:
        """What is small about it, as `transformers` calls it."""
        return {
            "hidden_size": self.hidden_size,
            "intermediate_size": 3 * self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "max_position_embeddings": self.max_tokens,
            "max_window_layers": self.layers,
            # Wider than a large model's 0.02: at this width it learns in half the steps.
            "initializer_range": 0.05,
        }


def read_config(given: Mapping[str, Any]) -> Config:
    """Raises:
    InputError: a key is unknown, missing, or asks for a model that is not made here.
    """
    known = {each.name for each in fields(Config)}
    needed = {each.name for each in fields(Config) if each.default is MISSING}
    for name in sorted(set(given) - known):
        raise InputError(f"tiny model: unknown key {name!r}; there are {', '.join(sorted(known))}")
    for name in sorted(needed - set(given)):
        raise InputError(f"tiny model: {name} is missing")
    if given.get("make", "qwen2") not in MAKES:
        raise InputError(f"tiny model: make is {given['make']!r}, expected {', '.join(MAKES)}")
    return Config(**{**given, "rows": tuple(map(Path, given["rows"])), "output": Path(given["output"])})


def make(config: Config) -> list[str]:
    """Makes the model folder; what a person should know of it, a line each.

    Raises:
        InputError: a file of rows is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    like, notes = _find_likeness(config)
    tokenizer = like.tokenizer if like else _make_tokenizer(config)
    tokens = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True)
    shape = shrink_config(like.config, config.sizes) if like else _make_shape(config)
    # A large model's table has rows to spare, which no token of its tokenizer names.
    shape.vocab_size = len(tokenizer)
    for name, value in tokens.items():
        setattr(shape, name, value)
    model = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    ends = [token for token in (tokenizer.eos_token_id, tokenizer.pad_token_id) if token is not None]
    model.generation_config = GenerationConfig(
        eos_token_id=like.end if like and like.end is not None else ends, pad_token_id=tokenizer.pad_token_id
    )
    temporary = config.output.with_name(f".{config.output.name}.{os.getpid()}.tmp")
    try:
        tokenizer.save_pretrained(temporary)
        model.save_pretrained(temporary)
        shutil.rmtree(config.output, ignore_errors=True)
        temporary.rename(config.output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return notes


def _find_likeness(config: Config) -> tuple[Likeness | None, list[str]]:
    if config.like is None:
        return None, []
    found = read_likeness(config.like)
    if isinstance(found, str):
        own = f"a {config.make} with a tokenizer learnt from the rows and the chat template of Qwen2.5"
        return None, [f"{found}: the tiny model is {own}, so its own tokenizer and chat template are not tried"]
    return found, [f"architecture ({found.config.model_type}), tokenizer and chat template are those of {config.like}"]


def _make_shape(config: Config) -> Any:
    """The architecture by its name alone."""
    from transformers import AutoConfig

    return AutoConfig.for_model(
        config.make,
        **config.sizes,
        # A Qwen3 says how wide its heads are; of others it follows.
        **({"head_dim": config.hidden_size // config.heads} if config.make == "qwen3" else {}),
        tie_word_embeddings=config.tie_word_embeddings,
        dtype="float32",
    )


def _make_tokenizer(config: Config) -> Any:
    """A tokenizer of Qwen2's own class, with its way of splitting text.

    For a model of type qwen2, transformers 5.9 takes that class whatever the folder says, and 5.5 does not: with any other
    way of splitting, the two trainers' environments would read the same text as different tokens.
    """
    from tokenizers import AddedToken, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    learner = Qwen2Tokenizer().backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary,
        special_tokens=[END, START, STOP],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator([CHAT_TEMPLATE, *read_texts(config.rows)], trainer)
    learnt = json.loads(learner.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=learnt["vocab"],
        merges=[tuple(pair) for pair in learnt["merges"]],
        eos_token=STOP,
        pad_token=END,
        model_max_length=config.max_tokens,
    )
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in (END, START, STOP)])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def read_texts(rows: Sequence[Path]) -> Iterator[str]:
    """Every text in the files: prompts, answers, ground truths.

    Raises:
        InputError: a file is not there.
    """
    import pyarrow.parquet as pq

    for path in rows:
        if not path.is_file():
            raise InputError(f"tiny model: rows {path} are not there")
        for record in pq.read_table(path).to_pylist():
            yield from _find_texts(record)


def _find_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _find_texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _find_texts(each)


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit status."""
    # Threads may merge in another order; one keeps the bytes the same.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        if len(arguments) != 1:
            raise InputError("usage: python -m pipelines.models.tiny CONFIG.json")
        try:
            given = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{arguments[0]}: {error}") from error
        try:
            notes = make(read_config(given))
            for note in notes:
                print(note)
            Path(arguments[0]).with_name("notes.json").write_text(json.dumps(notes) + "\n", encoding="utf-8")
        except OSError as error:
            raise StepError(f"tiny model: {error.filename or ''}: {error.strerror or error}") from error
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

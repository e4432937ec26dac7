"""`python -m pipelines.models.tiny CONFIG.json`: make a small random model and a tokenizer trained on the rows of a run.

It lets a recipe run without access to the hub. Runs inside a trainer's environment (transformers, tokenizers, torch,
pyarrow), where the same configuration and rows give the same bytes. With `like`, the architecture, tokenizer and chat
template are copied from another model if it is available. notes.json, next to the configuration, tells what was made.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, PipelineError, StepError
from pipelines.models.reference import ReferenceModel, read_reference, shrink_config
from preprocess import atomic

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

# Words and whitespace are those of Qwen2.5's template, so that LLaMA-Factory's `qwen` template, a reimplementation in code,
# renders the same text.
CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Config:
    """The tiny model to make."""

    vocabulary: int
    """Tokens in the vocabulary; fewer if the rows do not contain enough text."""
    hidden_size: int
    layers: int
    heads: int
    max_tokens: int
    """Longest sequence."""
    seed: int
    rows: tuple[Path, ...]
    """Parquet files; the tokenizer is trained on their texts."""
    output: Path
    """The model folder; it appears when it is complete."""
    make: str = "qwen2"
    """The architecture; overridden by that of `like` if it is available."""
    like: str | None = None
    """A reference model, whose architecture, tokenizer and chat template are copied: a folder or a hub name."""
    tie_word_embeddings: bool = False

    @property
    def sizes(self) -> dict[str, Any]:
        """The sizes by transformers' names."""
        return {
            "hidden_size": self.hidden_size,
            "intermediate_size": 3 * self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "max_position_embeddings": self.max_tokens,
            "max_window_layers": self.layers,
            # Larger than the usual 0.02: a model of this width then learns in half the steps.
            "initializer_range": 0.05,
        }


def read_config(given: Mapping[str, Any]) -> Config:
    """Convert the configuration file's keys.

    Raises:
        InputError: a key is unknown or missing.
    """
    try:
        return Config(**{**given, "rows": tuple(map(Path, given["rows"])), "output": Path(given["output"])})
    except (KeyError, TypeError) as error:
        raise InputError(f"tiny model: {error}") from None


def make(config: Config) -> list[str]:
    """Make the model folder.

    Returns:
        Notes for the user, one line each.

    Raises:
        InputError: a file of rows is missing.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    reference = None if config.like is None else read_reference(config.like)
    if isinstance(reference, ReferenceModel):
        tokenizer, shape = reference.tokenizer, shrink_config(reference.config, config.sizes)
        kind = reference.config.model_type
        notes = [f"architecture ({kind}), tokenizer and chat template are those of {config.like}"]
    else:
        tokenizer = _train_tokenizer(config)
        # Qwen3's configuration sets the head size explicitly; the others derive it.
        head_dim = {"head_dim": config.hidden_size // config.heads} if config.make == "qwen3" else {}
        tied = config.tie_word_embeddings
        shape = AutoConfig.for_model(config.make, **config.sizes, **head_dim, tie_word_embeddings=tied, dtype="float32")
        fallback = f"a {config.make} with a tokenizer trained on the rows and the chat template of Qwen2.5"
        why = f"{reference}: the tiny model is {fallback}; the real tokenizer and chat template are not tested"
        notes = [why] if reference else []
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    # A large model's embedding may have more rows than its tokenizer has tokens.
    shape.vocab_size = len(tokenizer)
    shape.bos_token_id, shape.eos_token_id, shape.pad_token_id = None, end, pad
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True)
    model = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    ends = reference.eos_token_id if isinstance(reference, ReferenceModel) else None
    ends = [token for token in (end, pad) if token is not None] if ends is None else ends
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=pad)
    with atomic.replacement(config.output) as folder:
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
    return notes


def _train_tokenizer(config: Config) -> Any:
    """Train a tokenizer of Qwen2's class, with its pre-tokenizer.

    For a model of type qwen2, transformers 5.9 uses that class whatever the folder specifies, and 5.5 does not: with another
    pre-tokenizer, the two trainers' environments would tokenize the same text differently.
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
    learned = json.loads(learner.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],
        eos_token=STOP,
        pad_token=END,
        model_max_length=config.max_tokens,
    )
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in (END, START, STOP)])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def read_texts(rows: Sequence[Path]) -> Iterator[str]:
    """Read every text in the files: prompts, answers, ground truths.

    Raises:
        InputError: a file is missing.
    """
    import pyarrow.parquet as pq

    for path in rows:
        if not path.is_file():
            raise InputError(f"tiny model: rows file {path} is missing")
        for record in pq.read_table(path).to_pylist():
            yield from _find_texts(record)


def _find_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _find_texts(each)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    # Threads may merge in another order; one thread keeps the bytes the same.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        if len(arguments) != 1:
            raise InputError("usage: python -m pipelines.models.tiny CONFIG.json")
        path = Path(arguments[0])
        try:
            config = read_config(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: {error}") from error
        try:
            notes = make(config)
            path.with_name("notes.json").write_text(json.dumps(notes) + "\n", encoding="utf-8")
        except OSError as error:
            raise StepError(f"tiny model: {error.filename or ''}: {error.strerror or error}") from error
        print("".join(f"{note}\n" for note in notes), end="")
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Check a trained model and hand it over: `python -m pipelines.run.handover handover.json`, in a trainer's environment.

Checked on the files that the next stage will read: the model and its tokenizer load with `transformers`; the chat template
renders; the next stage's environment produces the same tokens; every weight is finite; some weight differs from the initial
model. Only then does the stage's `model/` folder appear. Its files are hard links where possible.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.environments.ask import AskError, ask
from pipelines.models import token_probe
from preprocess import atomic

# The files of a HuggingFace model folder, without the trainer's own (optimizer states, logs, training arguments).
MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


class HandoverRefused(Exception):  # noqa: N818 (a result, not a defect)
    """The model failed a check; the message is the reason."""


def main(arguments: list[str]) -> int:
    """Return 0 when the model was handed over, 1 with a one-line reason when a check failed."""
    settings = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    exported, model = Path(settings["exported"]), Path(settings["model"])
    try:
        atomic.sweep(model.parent)
        with atomic.replacement(model) as staging:
            _link_model(exported, staging, copy=settings.get("copy", False))
            # The other environments work while this one imports transformers.
            with ThreadPoolExecutor() as pool:
                readers = [pool.submit(_ask_for_tokens, staging, python) for python in settings["readers"]]
                _check_tokenizer(staging)
                for each in readers:
                    _compare_tokens(staging, each.result())
            print(json.dumps(_check_weights(staging, settings["before"])))
    except HandoverRefused as refusal:
        print(f"handover: {refusal}", file=sys.stderr)
        return 1
    return 0


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model in a folder, without a trainer's own."""
    return sorted({file for pattern in MODEL_FILES for file in folder.glob(pattern)})


def _link_model(exported: Path, target: Path, *, copy: bool) -> None:
    """Link the model's files into a new folder; copy them if that is impossible or asked for."""
    files = model_files(exported)
    if not any(file.suffix == ".safetensors" for file in files):
        raise HandoverRefused(f"{exported} has no *.safetensors file: the trainer exported no weights")
    target.mkdir(parents=True)
    for file in files:
        if copy or not _link(file, target / file.name):
            shutil.copy2(file, target / file.name)


def _link(file: Path, target: Path) -> bool:
    try:
        os.link(file.resolve(), target)
    except OSError:  # another disk, or no hard links
        return False
    return True


def _check_tokenizer(folder: Path) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:
        raise HandoverRefused(f"its tokenizer does not load: {_one_line(error)}") from error
    if not tokenizer.chat_template:
        raise HandoverRefused("its tokenizer has no chat template: the next stage could not build a prompt")
    messages = [{"role": "user", "content": "f(1)"}]
    try:
        bare = tokenizer.apply_chat_template(messages, tokenize=False)
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:
        raise HandoverRefused(f"its chat template does not render: {_one_line(error)}") from error
    if bare == prompt:
        raise HandoverRefused(
            "its chat template ignores add_generation_prompt: the next stage's prompts would not ask for an answer"
        )


def _ask_for_tokens(folder: Path, python: str) -> list[list[int]]:
    """Return the tokens of the probes in another environment, which will read the model."""
    try:
        tokens: list[list[int]] = ask(python, ["-m", "pipelines.models.token_probe", str(folder)])
    except AskError as error:
        raise HandoverRefused(f"its tokenizer does not load in the next stage's environment: {error}") from None
    return tokens


def _compare_tokens(folder: Path, there: list[list[int]]) -> None:
    """Check that the other environment splits text into the same tokens."""
    for text, mine, theirs in zip(token_probe.PROBES, token_probe.probe(str(folder)), there, strict=True):
        if mine != theirs:
            raise HandoverRefused(
                f"its tokenizer differs in the next stage's environment: {text[:24]!r} is {len(mine)} tokens here "
                f"({mine[:8]} …) and {len(theirs)} there ({theirs[:8]} …)"
            )


def _check_weights(folder: Path, before: str | None) -> dict[str, int]:
    """Check the weights; return facts for the log.

    Args:
        folder: the model.
        before: the initial model, a folder or a hub name, to compare with; None: do not compare.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model, info = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    except Exception as error:
        raise HandoverRefused(f"it does not load: {_one_line(error)}") from error
    # A tied output layer is not in the file, but it is not missing.
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    if missing := sorted(set(info["missing_keys"]) - tied):
        raise HandoverRefused(f"{len(missing)} of its weights are not in its files: {missing[0]} is the first")
    weights = dict(model.named_parameters())
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise HandoverRefused(f"{name} has values that are not finite")
    facts = {"parameters": sum(weight.numel() for weight in weights.values()), "tensors": len(weights)}
    return facts if before is None else facts | {"tensors_changed": _count_changed(weights, before)}


def _count_changed(weights: dict[str, Any], before: str) -> int:
    """Count the tensors that differ from the initial model.

    Compared in the coarser of the two types, because a bfloat16 copy of a float32 model is not a trained model.
    """
    changed = compared = 0
    for name, old in _read_weights(_find_weights(before)):
        if name not in weights:
            continue
        new = weights[name].data
        coarser = old.dtype if old.element_size() <= new.element_size() else new.dtype
        compared += 1
        changed += not (old.shape == new.shape and bool((old.to(coarser) == new.to(coarser)).all()))
    if not compared:
        raise HandoverRefused(f"none of its weights is in {before}, the initial model")
    if not changed:
        raise HandoverRefused(f"its weights are those of {before}, the initial model: training changed nothing")
    return changed


def _find_weights(model: str) -> list[Path]:
    """Return the weight files of a folder or a hub name in the formats that `transformers` reads, the preferred one first."""
    for pattern in ("*.safetensors", "pytorch_model*.bin"):
        folder = Path(model)
        if not folder.is_absolute():
            from huggingface_hub import snapshot_download

            folder = Path(snapshot_download(model, allow_patterns=[pattern]))
        if files := sorted(folder.glob(pattern)):
            return files
    raise HandoverRefused(f"{model}, the initial model, has neither *.safetensors nor pytorch_model*.bin files")


def _read_weights(files: list[Path]) -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each tensor. Files of PyTorch are unpickled without running code."""
    for file in files:
        try:
            if file.suffix == ".safetensors":
                from safetensors import safe_open

                with safe_open(file, framework="pt") as tensors:
                    yield from ((name, tensors.get_tensor(name)) for name in tensors.keys())  # noqa: SIM118 (not a mapping)
            else:
                import torch

                yield from torch.load(file, map_location="cpu", weights_only=True).items()
        except Exception as error:
            raise HandoverRefused(f"{file}, of the initial model, cannot be read: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

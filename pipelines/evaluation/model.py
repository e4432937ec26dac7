"""The model of an evaluation: checks before it is loaded, and a fingerprint of its contents."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipelines.digests import is_card
from pipelines.errors import InputError
from pipelines.models.folder import find_model_folder, is_cached, is_hub_offline, read_model_info, weight_files

_PARTS, _PART_BYTES = 16, 1 << 16


def check_model(model: str) -> None:
    """Check that a model has its weights and a chat template. A model that must be downloaded is checked when it is loaded.

    Raises:
        InputError: It does not; one line.
    """
    folder = find_model_folder(model)
    if folder is None:
        if Path(model).is_absolute():
            raise InputError(f"{model} is not a model: it has no config.json")
        if is_hub_offline():
            raise InputError(f"{model} is not in the hub cache, and HF_HUB_OFFLINE is set: download it first, or name a folder")
        return
    if not Path(model).is_absolute() and not is_cached("models", model):
        return
    template = read_model_info(folder).chat_template
    if template is None:
        raise InputError(f"{model} has no tokenizer: tokenizer_config.json is missing")
    if not template:
        raise InputError(f"{model} has no chat template, so it cannot be asked; fine-tune it first, or add chat_template.jinja")
    missing = sorted(name for name in weight_files(folder) if not (folder / name).is_file())
    if missing and not any(folder.glob("pytorch_model*.bin")):
        raise InputError(f"{model} is not complete: {missing[0]} is missing")


def fingerprint(model: str) -> str:
    """Return a digest of a model's or a checkpoint's files, or a hub name.

    Of large files it reads parts only: training changes weights everywhere. A card of this project is left out.
    """
    folder = Path(model)
    if not folder.is_absolute():
        return model
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and not is_card(each)):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)} {size}\n".encode())
        with path.open("rb") as file:
            for part in range(_PARTS):
                file.seek(size * part // _PARTS)
                digest.update(file.read(_PART_BYTES))
    return digest.hexdigest()[:16]

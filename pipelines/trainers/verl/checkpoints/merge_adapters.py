"""Merge a verl checkpoint into a Hugging Face folder, then its LoRA adapters into the model.

verl's model_merger (base_model_merger.py `save_lora_adapter`, v0.9.1) writes the base model and, in a subfolder, the adapters.
The arguments are those of verl's program.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def merge(folder: Path) -> None:
    """Merge `lora_adapter/` into the model of a folder in 32 bits; the model keeps its data type."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = folder / "lora_adapter"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    dtype = model.dtype
    merged = PeftModel.from_pretrained(model.to(torch.float32), adapter).merge_and_unload()
    merged.to(dtype).save_pretrained(folder)
    shutil.rmtree(adapter)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    done = subprocess.run([sys.executable, "-m", "verl.model_merger", *arguments], check=False)
    if done.returncode == 0:
        merge(Path(arguments[arguments.index("--target_dir") + 1]))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

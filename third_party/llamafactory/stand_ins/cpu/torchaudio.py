"""Stands in for torchaudio, which has no CPU build in the package registry (the CUDA build breaks beside a CPU torch).

LLaMA-Factory 0.9.5 imports torchaudio at module level and uses it for audio columns only, so an empty module is enough to
train on text. Anything that is asked of it says so.
"""

import torch

__version__ = "2.11.0"


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    raise RuntimeError(f"torchaudio.{name}: this environment trains on text only (torchaudio has no CPU build here)")


# accelerate 1.11.0 calls the device of a multi-process CPU run "cpu:0", and torch.load(map_location="cpu:0") knows no such
# place, so a resume under torchrun fails ("don't know how to restore data location"). Placed here because LLaMA-Factory
# imports this module in each of its processes before it loads a checkpoint.
torch.serialization.register_package(
    5,
    lambda storage: None,
    lambda storage, location: storage if str(location).startswith("cpu") else None,
)

"""Names of models that are neither a folder nor `owner/name`: on the hub, only a few old models have no owner."""

from __future__ import annotations

from pathlib import Path

from pipelines.models.folder import hub_cache
from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.problems import Found
from rewards.suggestions import nearest

_OWNERS = {
    "codellama": "codellama",
    "deepseek": "deepseek-ai",
    "gemma": "google",
    "granite": "ibm-granite",
    "llama": "meta-llama",
    "mistral": "mistralai",
    "phi": "microsoft",
    "qwen": "Qwen",
    "smollm": "HuggingFaceTB",
    "starcoder": "bigcode",
    "yi-": "01-ai",
}
"""Beginning of a model's name -> its owner on the hub."""


def find_ownerless(root: Node) -> Found:
    """Yield the recipe's model, or the one that it is like, if it is called by a name without an owner."""
    model = root.child("model")
    places: dict[Loc, Node | None] = {("model",): model, ("model", "like"): model.child("like") if model else None}
    for loc, node in places.items():
        name = node.value if node is not None else None
        if node is None or not isinstance(name, str) or "/" in name or (hub_cache() / f"models--{name}").is_dir():
            continue
        folder = node.origin.folder
        missing = f"found {name!r}: {folder / name} does not exist, so it is the name of a model on the hub without an owner"
        yield loc, f"{missing}{_guess(name, folder)}"


def _guess(name: str, folder: Path) -> str:
    """Return the nearest model: a folder next to the recipe, one in the hub's cache, or one of a known owner."""
    folders = {each.parent.name: f"./{each.parent.name}" for each in folder.glob("*/config.json")}
    cached = [each.name.removeprefix("models--").replace("--", "/", 1) for each in hub_cache().glob("models--*--*")]
    guess = nearest(name, [*folders, *(each.partition("/")[2] for each in cached)])
    owned = {each.partition("/")[2]: each for each in cached}
    owner = next((owner for start, owner in _OWNERS.items() if name.lower().startswith(start)), None)
    meant = folders.get(guess or "") or owned.get(guess or "") or (f"{owner}/{name}" if owner else None)
    return f"; did you mean {meant!r}?" if meant else "; expected a folder or owner/name"

"""`python -P hub_download.py NAME SUBSET SPLIT FOLDER REVISION`: save a data set of the HuggingFace hub as parquet files.

There is one file per split. Run by a Python that has `datasets`; imports nothing of this project. The settings of `datasets`
apply (HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE, HF_TOKEN). SUBSET, SPLIT and REVISION may be empty; SPLIT `*` is all splits. The
last line of the output is JSON: {"files": …, "revision": the commit or null}, or {"error": …, "mistake": …}; `mistake` is true
if the name is wrong, false if the download failed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any


class _MistakeError(Exception):
    """The name is wrong."""


def download(name: str, subset: str | None, split: str | None, folder: Path, revision: str | None) -> dict[str, Any]:
    """Write the files; return their names, and the commit of the data set."""
    import datasets

    if split is None:
        _refuse_several(datasets.get_dataset_split_names(name, subset, revision=revision), name)
    loaded = datasets.load_dataset(name, subset, split=None if split == "*" else split, revision=revision)
    tables = loaded if isinstance(loaded, dict) else {split or "train": loaded}
    if split is None:
        _refuse_several(list(tables), name)
    files = []
    for part, table in tables.items():
        file = re.sub(r"[^\w.-]+", "-", part).strip("-") + ".parquet"
        table.to_parquet(folder / file)
        files.append(file)
    return {"files": files, "revision": _find_revision(tables)}


def _find_revision(tables: dict[str, Any]) -> str | None:
    """Return the commit in the path of the cached tables; None if the data set has none."""
    paths = [each["filename"] for table in tables.values() for each in table.cache_files]
    return next((found[1] for path in paths if (found := re.search(r"/([0-9a-f]{40})/[^/]+$", path))), None)


def _refuse_several(splits: list[str], name: str) -> None:
    if len(splits) > 1:
        raise _MistakeError(f"it has the splits {', '.join(splits)}; choose one: {name}@{splits[0]}")


def _describe(error: Exception) -> dict[str, Any]:
    kinds = {each.__name__ for each in type(error).__mro__}
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if "_MistakeError" in kinds:
        return {"error": first, "mistake": True}
    if "DatasetNotFoundError" in kinds:
        return {"error": f"not on the hub ({endpoint}), or not without a login (HF_TOKEN)", "mistake": True}
    if kinds & {"ConnectionError", "FileNotFoundError", "OfflineModeIsEnabled"}:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
        why = "HF_HUB_OFFLINE is set" if offline else f"the hub ({endpoint}) cannot be reached"
        return {"error": f"{why}, and it is not cached", "mistake": False}
    return {"error": f"{first[:300]}", "mistake": "ValueError" in kinds}


def main(arguments: list[str]) -> int:
    """Run the command; the exit status is always 0, and the last line has any error."""
    name, subset, split, folder, revision = arguments
    try:
        result = download(name, subset or None, split or None, Path(folder), revision or None)
    except Exception as error:
        result = _describe(error)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

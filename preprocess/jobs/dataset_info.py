"""LLaMA-Factory's description of the prepared files."""

from __future__ import annotations

from typing import Any

from preprocess.engine.splits import SPLITS


def make_dataset_info() -> dict[str, Any]:
    """Return the content of dataset_info.json; every tag is set explicitly, as the defaults are alpaca's."""
    return {
        name: {
            "file_name": f"{name}.parquet",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system", "tools": "tools"},
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
                "observation_tag": "observation",
                "function_tag": "function_call",
                "system_tag": "system",
            },
        }
        for name in SPLITS
    }

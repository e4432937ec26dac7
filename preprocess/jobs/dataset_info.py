"""What LLaMA-Factory has to be told of the files that it reads."""

from __future__ import annotations

from typing import Any

from preprocess.engine.splits import SPLITS


def make_dataset_info() -> dict[str, Any]:
    """What LLaMA-Factory must know of both files; every tag is said, because what is left out means alpaca."""
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

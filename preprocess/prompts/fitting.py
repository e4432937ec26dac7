"""The rows of a stage that are not too long, in files of their own, and the list of the others."""

from __future__ import annotations

import json
import shutil
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from preprocess import atomic

# Dictionaries and statistics of texts that never repeat take time and space without use.
FORMAT: dict[str, Any] = {"compression": "zstd", "store_schema": False, "use_dictionary": False, "write_statistics": False}
"""Options of pyarrow's ParquetWriter for all files of rows; this module imports only what every environment has."""

LIST = "left_out.jsonl"
"""The rows that were left out, with their tokens."""


def write_fitting(files: Mapping[str, str], tokens: Mapping[str, array[int]], limit: int, folder: Path) -> None:
    """Write the rows of up to `limit` tokens; other files of their folder are copied, except those of the conversion.

    Args:
        files: train and validation -> parquet file.
        tokens: train and validation -> the tokens of its rows, in their order.
        limit: Most tokens of a row.
        folder: The folder to write.
    """
    with atomic.replacement(folder) as target:
        target.mkdir(exist_ok=True)
        with (target / LIST).open("w", encoding="utf-8") as left_out:
            for split, file in files.items():
                _filter(Path(file), tokens[split], limit, target / f"{split}.parquet", left_out)
        for described in {Path(each).with_name("dataset_info.json") for each in files.values()}:
            if described.is_file():
                shutil.copyfile(described, target / described.name)


def _filter(source: Path, tokens: array[int], limit: int, target: Path, left_out: IO[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = 0
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, file.schema_arrow, **FORMAT) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            lengths = tokens[first : first + table.num_rows]
            for row, length in enumerate(lengths, first):
                if length > limit:
                    left_out.write(json.dumps({"file": source.name, "row": row, "tokens": length}) + "\n")
            first += table.num_rows
            if (kept := table.filter(pa.array([length <= limit for length in lengths]))).num_rows:
                writer.write_table(kept, row_group_size=kept.num_rows)

"""The format of all parquet files of rows. Standard library only: the trainers' environments import it, too."""

from __future__ import annotations

from typing import Any

# Dictionaries and statistics of texts that never repeat take time and space without use.
FORMAT: dict[str, Any] = {"compression": "zstd", "store_schema": False, "use_dictionary": False, "write_statistics": False}
"""Options of pyarrow's ParquetWriter."""

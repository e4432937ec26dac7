"""The rows for verl's SFT trainer: `data.custom_cls`."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset

from preprocess.prompts.rendering import cut, render_pairs


class SftRows(Dataset):
    """A file of shape SftRow as token tensors with a loss mask, rendered with the tokenizer's chat template.

    verl's MultiTurnSFTDataset needs other columns, renders each message separately, and fails on the first conversation that is
    too long. Here it is cut as by LLaMA-Factory: a part of its answer always remains.

    Validation rows are padded to whole batches with rows outside the loss, because verl drops an incomplete batch, which may be
    a small file's only one. `config` is verl's `data` section; `custom_cls.seed` is the recipe's seed.
    """

    def __init__(self, parquet_files: str, tokenizer: Any, config: Any, processor: Any = None, max_samples: int = -1) -> None:
        # verl's SFT trainer sets no seed, and adapters start with random weights; this runs before the model is built.
        torch.manual_seed(config.custom_cls.seed)
        self._table = pq.read_table(parquet_files, columns=["conversations", "system", "tools"])
        self._tokenizer, self._limit = tokenizer, config.max_length
        self._arguments = dict(config.get("apply_chat_template_kwargs") or {})
        rows: int = self._table.num_rows
        if parquet_files == config.val_files:
            self._order = list(range(rows))
            self._length: int = -(-rows // config.train_batch_size) * config.train_batch_size
        else:
            # verl's sampler always shuffles with seed 0.
            shuffled = torch.randperm(rows, generator=torch.Generator().manual_seed(config.custom_cls.seed))
            self._order, self._length = shuffled.tolist(), rows

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        padding = index >= len(self._order)
        (row,) = self._table.slice(self._order[0 if padding else index], 1).to_pylist()
        ids: list[int] = []
        mask: list[int] = []
        for prompt, answer in cut(render_pairs(self._tokenizer, row, **self._arguments), self._limit):
            ids += [*prompt, *answer]
            mask += [0] * len(prompt) + [0 if padding else 1] * len(answer)
        return {
            "input_ids": torch.tensor(ids),
            "position_ids": torch.arange(len(ids)),
            "loss_mask": torch.tensor(mask),
        }

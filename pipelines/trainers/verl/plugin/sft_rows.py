"""Our rows as verl's SFT trainer reads them, where they lie: `data.custom_cls` is the extension point."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset

from preprocess.prompts.conversations import cut, render_pairs


class SftRows(Dataset):
    """A file of shape SftRow as token tensors with a loss mask, rendered with the tokenizer's own chat template.

    verl's own MultiTurnSFTDataset wants other columns, renders each message as if it stood alone, and ends the run at the
    first conversation that is too long. Here it is cut as LLaMA-Factory cuts it, and something of its answer remains.

    Validation rows are filled up to whole batches, for verl leaves an incomplete batch out, and with it, of a small file,
    everything. Rows that fill up have no token in the loss.

    Args:
        parquet_files: one file.
        tokenizer: the model's.
        config: verl's `data` section; `custom_cls.seed` is the recipe's seed.
        processor, max_samples: verl's, of no use here.
    """

    def __init__(self, parquet_files: str, tokenizer: Any, config: Any, processor: Any = None, max_samples: int = -1) -> None:
        # verl's SFT trainer seeds nothing, and adapters begin with random weights: this comes before the model is made.
        torch.manual_seed(config.custom_cls.seed)
        self._table = pq.read_table(parquet_files, columns=["conversations", "system", "tools"])
        self._tokenizer, self._limit = tokenizer, config.max_length
        self._arguments = dict(config.get("apply_chat_template_kwargs") or {})
        rows: int = self._table.num_rows
        if parquet_files == config.val_files:
            self._places = list(range(rows))
            self._length: int = -(-rows // config.train_batch_size) * config.train_batch_size
        else:
            # verl's sampler shuffles by a seed of its own that is always 0.
            shuffled = torch.randperm(rows, generator=torch.Generator().manual_seed(config.custom_cls.seed))
            self._places, self._length = shuffled.tolist(), rows

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        fills_up = place >= len(self._places)
        (row,) = self._table.slice(self._places[0 if fills_up else place], 1).to_pylist()
        ids: list[int] = []
        mask: list[int] = []
        for prompt, answer in cut(render_pairs(self._tokenizer, row, **self._arguments), self._limit):
            ids += [*prompt, *answer]
            mask += [0] * len(prompt) + [0 if fills_up else 1] * len(answer)
        return {
            "input_ids": torch.tensor(ids),
            "position_ids": torch.arange(len(ids)),
            "loss_mask": torch.tensor(mask),
        }

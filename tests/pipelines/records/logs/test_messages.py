"""One line of a log: the forms of verl, vLLM, Ray, torch, transformers and LLaMA-Factory, as the pinned versions write them."""

from __future__ import annotations

import pytest

from pipelines.records.logs.messages import Message, parse

RAY = "\x1b[36m(TaskRunnerV1 pid=32215)\x1b[0m "


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", Message("hello")),
        (
            f"{RAY}INFO:2026-11-28 06:38:41,949:Total training steps: 2",
            Message("Total training steps: 2", "06:38:41", process="32215"),
        ),
        ("(WorkerDict pid=4500, ip=10.0.0.2) text", Message("text", process="4500")),
        (f"{RAY} 'actor': 1", Message(" 'actor': 1", process="32215")),
        (
            "(vLLMHttpServer pid=8412) (EngineCore pid=11243) WARNING 11-28 06:39:34 [vllm.py:609] Model Runner V2",
            Message("Model Runner V2", "06:39:34", "WARNING", "8412"),
        ),
        (
            "[WARNING|2026-11-28 06:58:34] llamafactory.hparams.parser:149 >> We recommend enable mixed precision training.",
            Message("We recommend enable mixed precision training.", "06:58:34", "WARNING"),
        ),
        (
            "[INFO|trainer.py:1469] 2026-11-28 06:59:11,020 >>   Num Epochs = 30",
            Message("  Num Epochs = 30", "06:59:11"),
        ),
        (
            "(SimpleStorageUnit pid=2510) 2026-11-28 06:39:59,332 - WARNING - transfer_queue.utils.common - too many",
            Message("too many", "06:39:59", "WARNING", "2510"),
        ),
        (
            "2026-11-28 06:38:16,590\tINFO worker.py:2038 -- Started a local Ray instance.",
            Message("Started a local Ray instance.", "06:38:16"),
        ),
        ("[rank3]:W1128 06:40:00.592000 4500 torch/fx/_trace.py:56] text", Message("text", "06:40:00", "WARNING", rank=3)),
        ("[W1128 06:39:34.200110549 utils.cpp:68] Warning: NUMA", Message("Warning: NUMA", "06:39:34", "WARNING")),
        ("(WorkerDict pid=4500) [Rank 1] Saved model to /a", Message("Saved model to /a", process="4500", rank=1)),
        (
            "/work/verl/workers/engine/__init__.py:32: UserWarning: no torchtitan",
            Message("engine/__init__.py:32: UserWarning: no torchtitan"),
        ),
        ("\x1b]0;title\x07text\x1b[31m red\x1b[0m\x1b[A", Message("text red")),
    ],
)
def test_forms(line: str, message: Message) -> None:
    assert parse(line) == message


@pytest.mark.parametrize(
    "line",
    [
        f"{RAY}\rTraining Progress:  50%|█████     | 1/2 [00:03<00:03,  3.49s/it]",
        f"{RAY}\rSteps: 100%|██████████| 2/2 [00:06<00:00,  2.96s/it]\rSteps: 100%|██████████| 2/2 [00:06<00:00, 3.04s/it]",
        f"{RAY}\rGenerating split: 0 examples [00:00, ? examples/s]\rGenerating split: 8 examples [00:00, 325.05 examples/s]",
        "Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:00<00:00,  2.1it/s]",
        "Epoch 1/4:   0%|          | 0/2 [00:00<?, ?it/s]",
        "\r                                                   \r",
        "",
    ],
)
def test_a_progress_bar_has_no_text(line: str) -> None:
    assert parse(line).text == ""


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "\r 36%|███▌      | 160/450 [00:01<00:00, 1127.97it/s]\r         \r{'loss': '0.59', 'epoch': '11.33'}",
            "{'loss': '0.59', 'epoch': '11.33'}",
        ),
        ("\rEpoch 1/4:  50%|█████     | 1/2 [00:00<00:00,  1.47it/s]step:2 - train/loss:6.5", "step:2 - train/loss:6.5"),
        ("text before\r 36%|███▌      | 160/450 [00:01<00:00, 1127.97it/s]", "text before"),
    ],
)
def test_text_next_to_a_progress_bar_is_kept(line: str, text: str) -> None:
    assert parse(line).text == text


@pytest.mark.parametrize(
    ("line", "is_warning"),
    [
        ("ValueError: the loss is not a number", True),
        ("ray.exceptions.RayTaskError: x", True),
        ("engine/__init__.py:32: UserWarning: text", True),
        ("Warning: Failed to set NUMA affinity", True),
        ("ERROR 11-28 06:39:34 [core.py:1] text", True),
        ("Traceback (most recent call last):", True),
        ("INFO:2026-11-28 06:38:41,949:no error at all", False),
        ("the mean error: 3", False),
        ("reward/errors: 0", False),
    ],
)
def test_warnings(line: str, is_warning: bool) -> None:
    assert parse(line).is_warning is is_warning

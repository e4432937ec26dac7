"""vLLM's engine for concurrent requests in one event loop. Runs in verl's environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipelines.evaluation.spec import Generation


@dataclass(frozen=True)
class Completion:
    """What the model generated for one request."""

    tokens: list[int]
    finish: str
    """`stop` or `length`."""


def engine_arguments(model: str, generation: Generation, longest: int) -> dict[str, Any]:
    """Return the arguments of vLLM's `LLM`.

    Args:
        longest: Tokens of the longest prompt with its response.
    """
    arguments: dict[str, Any] = {
        "model": model,
        "seed": generation.seed,
        "tensor_parallel_size": generation.tensor_parallel,
        "max_model_len": longest,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
    }
    if generation.platform == "cuda":
        return arguments | {"dtype": "bfloat16", "gpu_memory_utilization": generation.gpu_memory} | generation.engine
    # As in training (pipelines/trainers/verl/cpu.py).
    arguments |= {
        "dtype": "float32",
        "enforce_eager": True,
        "max_num_seqs": 32,
        "max_num_batched_tokens": max(longest, 2048),
        "enable_chunked_prefill": False,
    }
    if generation.tensor_parallel == 1:
        arguments["distributed_executor_backend"] = "uni"
    return arguments | generation.engine


class Engine:
    """Generates for any number of concurrent requests; each returns when its response is complete.

    The engine's steps run in one thread, so that the event loop is free for tools and files meanwhile.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        from vllm import LLM

        self._engine = LLM(**arguments).llm_engine
        self._thread = ThreadPoolExecutor(1)
        self._added: asyncio.Queue[tuple[str, list[int], Any]] = asyncio.Queue()
        self._waiting: dict[str, asyncio.Future[Completion]] = {}
        self._watched: dict[str, Callable[[list[int]], None]] = {}
        self._cancelled: list[str] = []
        self._number = 0

    async def generate(
        self, prompt: list[int], parameters: dict[str, Any], watch: Callable[[list[int]], None] | None = None
    ) -> Completion:
        """Generate one response; the engine drops it if the caller is cancelled.

        Args:
            prompt: The tokens of the prompt.
            parameters: Of vLLM's `SamplingParams`.
            watch: Called with all tokens so far after each step of the engine.
        """
        from vllm import SamplingParams

        self._number += 1
        name, future = str(self._number), asyncio.get_running_loop().create_future()
        self._waiting[name] = future
        # The tokenizer decodes whole responses, as in training.
        self._added.put_nowait((name, prompt, SamplingParams(detokenize=False, **parameters)))
        if watch is not None:
            self._watched[name] = watch
        try:
            completion: Completion = await future
        except asyncio.CancelledError:
            self._cancelled.append(name)
            raise
        finally:
            self._watched.pop(name, None)
        return completion

    async def serve(self) -> None:
        """Answer requests until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._added.empty() or not self._waiting:
                name, prompt, parameters = await self._added.get()
                self._engine.add_request(name, {"prompt_token_ids": prompt}, parameters)
            if self._drop_cancelled():
                continue
            for output in await loop.run_in_executor(self._thread, self._engine.step):
                if (watch := self._watched.get(output.request_id)) is not None:
                    watch(list(output.outputs[0].token_ids))
                if output.finished and (future := self._waiting.pop(output.request_id, None)) is not None:
                    if future.done():
                        continue  # cancelled, because another response could not be written
                    made = output.outputs[0]
                    future.set_result(Completion(list(made.token_ids), "length" if made.finish_reason == "length" else "stop"))

    def _drop_cancelled(self) -> bool:
        """Remove the requests of cancelled callers from the engine; return whether there were any."""
        names = [name for name in self._cancelled if self._waiting.pop(name, None) is not None]
        self._cancelled.clear()
        if names:
            self._engine.abort_request(names)
        return bool(names)

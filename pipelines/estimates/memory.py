"""The memory that a stage needs on its GPUs and in main memory."""

from __future__ import annotations

from pipelines.estimates import hosts
from pipelines.estimates.generation import generation_terms, parallel_responses, weight_bytes
from pipelines.estimates.settings import ACTOR, CRITIC, REFERENCE, read_llamafactory, read_verl_rl, read_verl_sft
from pipelines.estimates.shapes import Shape
from pipelines.estimates.terms import Memory, Phase, Term, make_phase
from pipelines.estimates.training import Keys, Training, pass_terms, resident_terms, state_terms
from pipelines.recipe.schema import Hardware, RlStage, SftStage
from pipelines.trainers.base import Platform

_CONTEXT = 1_500_000_000
"""Of a process on a GPU: CUDA's context, cuBLAS, and NCCL's buffers."""

_FRAGMENTATION = 0.05
"""Share of the rest that PyTorch's allocator reserves without using it."""

_Model = tuple[str, Training, Keys]
"""Whose a model is, and how it is trained."""


def estimate_memory(
    stage: SftStage | RlStage, hardware: Hardware, platform: Platform, shape: Shape, gpu_bytes: int | None = None
) -> Memory:
    """Estimate the memory of a stage; rows are taken to be as long as the recipe allows.

    Args:
        gpu_bytes: memory of each GPU; None: unknown.
    """
    if isinstance(stage, SftStage):
        read = read_llamafactory if stage.trainer == "llamafactory" else read_verl_sft
        training, keys = read(stage, hardware, platform, shape)
        terms = [*state_terms(training, shape, keys, ""), *pass_terms(training, shape, keys, "")]
        gpu = (_on_gpu("train", terms),) if platform == "cuda" else ()
        return Memory(gpu, hosts.sft_host(stage, hardware, platform, shape, training, terms))
    models = _models(stage, hardware, platform, shape)
    host = hosts.rl_host(stage, hardware, platform, shape, models)
    if platform == "cpu":
        return Memory((), host)
    notes = _notes(stage, shape, gpu_bytes) if gpu_bytes is not None else ()
    return Memory(tuple(_rl_phases(stage, shape, models, gpu_bytes)), host, notes)


def _models(stage: RlStage, hardware: Hardware, platform: Platform, shape: Shape) -> list[_Model]:
    """Return the models of a stage: the policy first, then reference and critic if it has them."""
    names = [("the policy", ACTOR)]
    # With adapters, the reference is the policy without them.
    names += [("the reference", REFERENCE)] if stage.kl is not None and stage.lora is None else []
    names += [("the critic", CRITIC)] if stage.method.critic else []
    return [(name, *read_verl_rl(stage, engine, hardware, platform, shape)) for name, engine in names]


def _rl_phases(stage: RlStage, shape: Shape, models: list[_Model], gpu_bytes: int | None) -> list[Phase]:
    """Return what is on a GPU while vLLM generates, receives weights, and while each model is trained."""
    resident = {name: resident_terms(training, shape, keys, f" of {name}") for name, training, keys in models}
    generating = generation_terms(stage, shape, gpu_bytes)
    policy = models[0]
    sending = [
        state_terms(policy[1], shape, policy[2], " of the policy")[0],
        Term("vLLM's weights", weight_bytes(stage, shape), "rollout.tensor_parallel"),
    ]
    others = [term for name, terms in resident.items() if name != policy[0] for term in terms]
    kept = [term for term in resident[policy[0]] if not term.name.startswith("weights")]
    phases = [
        # Its own context is in its share.
        _on_gpu("generate", [*generating, *(term for terms in resident.values() for term in terms)], vllm=gpu_bytes is None),
        _on_gpu("send the weights to vLLM", [*sending, *kept, *others], vllm=True),
    ]
    for name, training, keys in models:
        of = f" of {name}"
        others = [term for each, terms in resident.items() if each != name for term in terms]
        terms = [*state_terms(training, shape, keys, of), *pass_terms(training, shape, keys, of, head=name != "the critic")]
        verb = "score with" if name == "the reference" else "update"
        phases.append(_on_gpu(f"{verb} {name}", [*terms, *others], vllm=True))
    return phases


def _on_gpu(name: str, terms: list[Term], *, vllm: bool = False) -> Phase:
    """Return a phase with what every process on a GPU takes; vLLM's process has a context of its own."""
    context = _CONTEXT * (2 if vllm else 1)
    trained = sum(term.bytes for term in terms if not term.name.startswith("vLLM"))
    return make_phase(name, terms, [Term("CUDA, NCCL and fragmentation", round(context + _FRAGMENTATION * trained))])


def _notes(stage: RlStage, shape: Shape, gpu_bytes: int) -> tuple[str, ...]:
    responses = parallel_responses(stage, shape, gpu_bytes)
    if not responses:
        return ("vLLM's weights and cache do not fit its share; raise rollout.gpu_memory or rollout.tensor_parallel",)
    return (f"vLLM generates {responses:,} responses of the greatest length at the same time per copy of the model",)

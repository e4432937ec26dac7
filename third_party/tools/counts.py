"""Ranges that follow from what a number is, where no upstream checks it: counts, sizes, shares, seconds, ports.

The default of a key is always allowed: -1, 0 and null often mean "not set".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from limits import Limits
from rules import Entry, Rule

_COUNT: Limits = {"minimum": 1}
_WORKERS: Limits = {"minimum": 1, "type": "integer"}
_NATURAL: Limits = {"minimum": 0}
_WHOLE: Limits = {"minimum": 0, "type": "integer"}
_POSITIVE: Limits = {"exclusiveMinimum": 0}
_SHARE: Limits = {"minimum": 0, "maximum": 1}
_PORT: Limits = {"minimum": 0, "maximum": 65535, "type": "integer"}

# Limits -> patterns of the last part of a key.
_VERL = (
    (_WORKERS, "*_prompts_workers expert_*_parallel_size distributed.*_parallel_size"),
    (
        _COUNT,
        """*_parallel_size data_parallel_size fsdp_size *micro_batch_size *micro_batch_size_per_gpu *mini_batch_size
        *max_token_len_per_gpu group_size num_shards agent.num_workers reward.num_workers *_chunk_size
        *_draft_tokens *_speculative_tokens *_num_steps *_eagle_topk topk max_model_len horizon rollout_n n_gpus_per_node
        max_attempts max_connections max_concurrent *_megabytes memory_limit_mb total_storage_size *_storage_units
        max_assistant_turns max_user_turns max_parallel_calls max_tool_response_length max_length train_max_samples
        val_max_samples parameter_sync_step stack_depth trace_alloc_max_entries pad_to_length_bucket image_patch_size
        loss_scale_factor max_inflight_gen_batches *nccl_timeout *_center_timeout global_segment_size local_buffer_size""",
    ),
    (_WHOLE, "*_backward_prefetch *_forward_prefetch nnodes log_val_generations num_warmup_batches"),
    (
        _NATURAL,
        """seed *_seed dataloader_num_workers data.num_workers limit_images *_interval min_num_params esi_redundant_time
        profile_token_start profile_token_end retry_delay *_gen_batches max_off_policy_threshold num_cycles lr_warmup_steps
        ppo_kl_coef dro_beta *_scaling_factor *_release_steps""",
    ),
    (_POSITIVE, "target_kl timeout max_start_wait_time tau_pos tau_neg"),
    (_SHARE, "clip_cov_ratio kl_cov_ratio over_sample_rate *_gpu_memory_utilization switch_threshold_step_*"),
    (_PORT, "port"),
)
_LLAMAFACTORY = (
    (
        _COUNT,
        """apollo_rank galore_rank *_update_interval badam_switch_interval buffer_size dataloader_prefetch_factor
        ddp_bucket_cap_mb ddp_timeout early_stopping_steps eval_accumulation_steps *num_beams export_quantization_maxlen
        export_quantization_nsamples export_size generation_max_length image_max_pixels image_min_pixels max_new_tokens
        max_samples oft_block_size per_device_eval_batch_size pissa_iter preprocessing_batch_size preprocessing_num_workers
        profiler_active_steps ray_num_workers sglang_maxlen video_max_pixels video_maxlen video_min_pixels vllm_max_lora_rank
        vllm_maxlen audio_sampling_rate kt_lora_expert_num kt_lora_expert_intermediate_size ppo_buffer_size ppo_epochs""",
    ),
    (
        _NATURAL,
        """dataloader_num_workers eval_delay oft_rank profiler_repeat profiler_wait_steps profiler_warmup_steps badam_verbose
        badam_start_block moe_aux_loss_coef asft_alpha eaft_alpha kto_chosen_weight kto_rejected_weight neftune_noise_alpha
        pref_ftx pref_beta pref_bco_weight simpo_gamma temperature""",
    ),
    (_POSITIVE, "apollo_scale galore_scale loraplus_lr_ratio loraplus_lr_embedding repetition_penalty video_fps"),
    (
        _SHARE,
        """badam_update_ratio dpo_label_smoothing label_smoothing_factor module_dropout ld_alpha top_p vllm_gpu_util
        sglang_mem_fraction""",
    ),
)


def rules(trainer: str, entries: Mapping[str, Entry]) -> Iterator[Rule]:
    """Yield the rules for the numbers among a trainer's keys that have no limits yet."""
    bounds = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "enum", "cases")
    numbers = [
        key for key, entry in entries.items() if {"integer", "number"} & set(_types(entry)) and not entry.keys() & set(bounds)
    ]
    for limits, patterns in _VERL if trainer == "verl" else _LLAMAFACTORY:
        found = [key for key in numbers if any(_matches(key, pattern) for pattern in patterns.split())]
        if found:
            # The type of a default of 0 or 1 is guessed (verl_keys).
            guessed = [key for key in found if entries[key]["type"] == "number"]
            typed = [key for key in found if key not in guessed]
            yield from (Rule(" ".join(each), given) for each, given in _by_type(guessed, typed, limits) if each)


def _by_type(guessed: list[str], typed: list[str], limits: Limits) -> Iterator[tuple[list[str], Limits]]:
    yield guessed, limits
    yield typed, {name: limit for name, limit in limits.items() if name != "type"}


def _types(entry: Entry) -> list[str]:
    kind = entry.get("type", [])
    return [kind] if isinstance(kind, str) else kind


def _matches(key: str, pattern: str) -> bool:
    parts = key.split(".")
    return fnmatchcase(".".join(parts[-1 - pattern.count(".") :]), pattern)

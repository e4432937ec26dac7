"""What a stage will need, before anything is started: memory of GPUs and host, time, tokens and cost.

Pure functions of a model's shape, a stage and the hardware; nothing is read or started here but a model's config.json. An
estimate never refuses a run. For other rooms: `read_shape` (shapes), `estimate_memory` (memory), `estimate_work` (work).
"""

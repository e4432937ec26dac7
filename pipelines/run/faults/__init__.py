"""Faults of a training without a user: what happened, whether to resume, when a silent trainer is stuck.

`attempt` uses `diagnosis`, `memory`, `room`, `stacks` and `stall`; `training` uses `policy` and `room`.
"""

"""Faults of a training without a user: what happened, whether to resume, when a silent trainer is stuck.

`execute` and `attempt` use `diagnosis`, `policy`, `stall`, `stacks` and `room`.
"""

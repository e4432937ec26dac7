"""Scoring of rows: call a reward's function, combine several rewards, and record failures.

`call_in_loop` (calling), `read_combination`, `read_entry`, `read_part`, `score_keys` (combination), `Failures`, `read_counts`,
`read_stop_reason`, `archive_failures` (failures).
"""

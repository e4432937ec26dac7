"""Preflight: find what is wrong with a run before it starts; `pipeline check` runs all checks.

For other rooms: `find_problems`, `split_problems`, `find_data_problems`,
`find_late_problems` (preflight), `Finding`, `Report` (findings),
`check_disk`, `check_environments`, `check_gpus` (resources), `check_cores` (cores), `check_cluster` (cluster), `Hub` (hub),
`open_sample` (samples), `check_rewards`, `rows_by_source`, `print_stage`, `is_unchecked` (rewards), `report_rows`,
`judge_rows`, `refuse_few_rows` (teaching), `TrainerChecks` (upstreams).
"""

"""Try and check rewards without a trainer.

`read_rows`, `read_responses`, `score` (offline) score responses from files; `check_rows`, `sample_rows` (checking) check a
reward's scores of right answers and cheats, and report what answers that cost nothing earn (free); `check_stage`,
`read_results` (stage) check all rewards of a stage.
"""

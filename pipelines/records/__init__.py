"""What a run directory says: the one reader of runs, whether they run, failed, ended, were moved, or are of version 0.2.

Used by other rooms: `Run`, `Stage`, `Step`, `find_run`, `newest_run`, `open_run`, `find_runs`, `is_run`, `locate`
(runs); `Manifest`, `write_manifest` (manifest); `StepRecord`, `read_record`, `write_record` (steps); `Reached`,
`write_reached` (progress); `read_overlong` (overlong); `MetricsFile`, `MetricsTail`, `read_metrics` (metrics);
`Sample`, `read_samples`, `read_headers`, `sample_steps` (samples); `hold`, `read_holder` (holder); `find_conflict`,
`claim` (claims); `summarise`, `summarise_status`, `list_runs` and their typed values (summaries); `compare_recipes`,
`compare_stages` (comparison).
"""

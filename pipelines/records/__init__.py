"""What a run directory says: the one reader of runs that go on, have failed, are finished, were moved, or are of an earlier version.

Used by other rooms: `Run`, `Stage`, `Step`, `open_run`, `find_runs`, `is_run` (runs); `Manifest`, `write_manifest` (manifest);
`StepRecord`, `read_record`, `write_record` (steps); `Reached`, `write_reached` (progress); `MetricsFile`, `read_metrics`
(metrics); `Sample`, `read_samples`, `read_headers`, `sample_steps` (samples); `write_holder`, `read_holder` (holder).
"""

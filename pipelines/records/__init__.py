"""What a run directory says: the one reader of runs that go on, have failed, are finished, were moved, or are of an earlier version.

Used by other rooms: `Run`, `Stage`, `Step`, `find_run`, `newest_run`, `open_run`, `find_runs`, `is_run` (runs); `Manifest`,
`write_manifest` (manifest); `StepRecord`, `read_record`, `write_record` (steps); `Reached`, `write_reached` (progress);
`MetricsFile`, `read_metrics` (metrics); `write_holder`, `read_holder` (holder).
"""

"""The commands about runs: `runs`, `status`, `logs`, `stop`, `report` and `compare`."""

"""The commands about runs: `runs`, `status`, `logs`, `stop` and `compare`."""

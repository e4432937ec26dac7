"""Real runs: `pipeline run` with the real trainers on this machine's CPU."""

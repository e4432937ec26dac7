"""Tests of `pipelines.run.faults`."""

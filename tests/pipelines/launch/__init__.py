"""Tests of pipelines.launch."""

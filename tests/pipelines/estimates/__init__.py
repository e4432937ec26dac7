"""Tests of pipelines.estimates."""

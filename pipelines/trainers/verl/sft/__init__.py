"""Supervised stages by verl's `sft_trainer`. Other rooms use `trainer`."""

"""Filters leave rows out of training: overlaps with evaluation sets, and pass rates out of range.

Other rooms use `load_decontamination` (evaluation_sets) and `load_pass_rates` (pass_rates).
"""

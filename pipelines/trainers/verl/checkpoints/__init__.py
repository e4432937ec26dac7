"""verl's checkpoints and metric files: which checkpoints are complete, which to resume from, keep, and export.

verl's trainers use `resume`, `rotation` and `metrics`; the plugin uses the last two inside verl, so they import only the
standard library. `merge_adapters` is a command.
"""

"""verl's checkpoints and metric files: which checkpoints are complete, which to resume from, keep, and export.

verl's trainers use `resume`, `rotation`, `best` and `metric_files`; the plugin uses the last three inside verl, so they import
only the standard library. `merge_adapters` is a command.
"""

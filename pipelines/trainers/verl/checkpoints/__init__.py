"""verl's checkpoints and metric files: which checkpoints are complete, which to resume from, keep, and export.

verl's trainers use `resume`, `rotation`, `metrics`, `best` and `validations`; the plugin uses all but the first inside verl, so
they import only the standard library. `merge_adapters` is a command.
"""

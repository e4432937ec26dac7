"""verl's checkpoints and metric files: which checkpoints are complete, which to resume from, keep, and export.

Both of verl's trainers and the plugin use `resume`, `rotation`, `best` and `metric_files`; the last three also run inside verl
and import only the standard library. `merge_adapters` is a command.
"""

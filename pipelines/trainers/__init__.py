"""The upstream trainers: render a stage as a command, and read the metrics, checkpoints and result of its training.

Other rooms use:

- `base`: the contract (`Trainer`) and its types: `Context`, `Launch`, `Progress`, `Result`, `StagePaths`, …
- `llamafactory.trainer`, `verl.rl.trainer`, `verl.sft.trainer`: the implementations, one per trainer and kind of stage.
- `samples`: `Sample`, a response with its reward, and the layout of the files of samples.
- `answering`: `Question` and `Answer`, exchanged with a process in the trainer's environment that validates stages.
- `verl.attempt_files`: the names of the variables that a run sets for verl's processes.
"""

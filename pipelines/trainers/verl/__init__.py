"""verl 0.9.1: `rl.trainer` and `sft.trainer` implement the trainer contract, `checkpoints` reads what verl saved, `plugin`
runs inside verl, `answers` validates stages in verl's environment."""

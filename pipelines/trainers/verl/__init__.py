"""Everything we know about verl 0.9.1. `trainer.py` is what the chain calls; `plugin/` is what runs inside verl."""

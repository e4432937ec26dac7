"""An algorithm outside verl's core: GRPO whose advantages are scaled, on verl's legacy trainer."""

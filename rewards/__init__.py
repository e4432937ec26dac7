"""What a response is worth. Imported inside the trainer's environment, so it stands on the standard library alone."""

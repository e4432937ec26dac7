"""The commands about the models of a run: `export`, `push`, `chat` and `clean`."""

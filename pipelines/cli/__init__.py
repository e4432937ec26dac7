"""The `pipeline` command: one file per command or group of commands. `main` (main) is its entry point."""

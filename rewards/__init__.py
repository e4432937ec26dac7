"""Rewards: what a response is worth. Runs inside the trainer's environment, so it imports the standard library only.

`compute_score` (entry) is the function verl calls. `register` and `Reward` (registry) define rewards, `load` (plugins.loading)
finds them by name. Other packages also use `nearest` and `suggestion` (suggestions), and the errors in `errors`.
"""

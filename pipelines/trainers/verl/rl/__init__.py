"""Reinforcement-learning stages by verl's `main_ppo`. Other rooms use `trainer` and, for its rewards, `reward`."""

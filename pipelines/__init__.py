"""Walks a recipe through its stages: supervised fine-tuning, then reinforcement learning, one model at the end."""

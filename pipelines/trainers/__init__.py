"""The upstream trainers: what a stage means to each, and what it left behind."""

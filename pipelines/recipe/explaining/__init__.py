"""Explain the keys of a recipe and of the trainers, from the schema and the generated key lists.

Other rooms use `Key`, `recipe_keys` (index); `Explanation`, `explain`, `names` (lookup); `flow` (examples).
"""

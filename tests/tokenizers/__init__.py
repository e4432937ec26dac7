"""Tokenizers and chat templates of published models, compared in both trainers with the recipes' rows."""

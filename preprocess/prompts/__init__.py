"""Prompts and conversations rendered with a model's chat template, and their lengths in tokens.

Runs in the trainers' environments. Other rooms use `measure`, `Stage` and `PromptError` (counting), `render_pairs` and `cut`
(rendering), `write_fitting` and `FORMAT` (fitting), `hide_torch` (torchless), and `python -m preprocess.prompts.lengths`.
"""

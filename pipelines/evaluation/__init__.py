"""Evaluation of models: generate responses, score them with the project's rewards, summarise and compare.

`Problem`, `Generated`, `Response`, `read`, `Appender` (records).
"""

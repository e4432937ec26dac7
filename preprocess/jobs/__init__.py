"""Whole jobs: prepare a stage's rows, convert one source, trace programs into questions.

Other rooms use `prepare` (prepare), `read_config` (prepare_config), `Conversion`, `convert_source` and `Result` (single),
`trace_files` (trace_files) and `make_dataset_info` (dataset_info).
"""

"""Evaluation of models: generate responses, score them with the project's rewards, summarise and compare.

`find_target` (finding), `Target` (target), `Options`, `make_spec`, `output_folder` (rendering), `evaluate` (job); `Problem`,
`Generated`, `Response`, `read`, `Appender` (records); `check_sampling` (sampling); `Summary`, `SetSummary`, `read_summary`,
`write` (summary); `summarise_folder` (summarising); `compare` (comparison); `read_chain` (chain); `judge` (readiness);
`print_tables` and the tables (tables).
"""

"""Model folders: description, parameter count, hub cache, tiny models.

Other rooms use `find_model_folder`, `read_model_info`, `is_cached`, `hub_home`, `hub_endpoint` and `is_hub_offline` (folder),
`count_parameters` and `count_tiny_parameters` (parameters), `Config`, `make` and `read_config` (tiny), `PROBES` (token_probe),
`read_opening`, `render_opening`, `read_eos`, `TINY` and `TINY_OPENING` (chat_template).
`tiny`, `reference` and `token_probe` run inside the trainers' environments.
"""

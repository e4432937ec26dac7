"""Sources: local files, and data sets of the HuggingFace hub, read in chunks of records.

Other rooms use `read_chunks`, `pack_records`, `list_files`, `measure`, `read_text`, `Chunk` and `Record` (reading), `describe`
and `explain` (decoding), `read_problems`, `read_lines` and the records (evaluations), and `parse`, `read_hub_name`, `HubName`
and `Fetcher` (hub).
"""

"""What the user sees: tables, progress, records as text.

Used by other rooms: `Progress`, `bar`, `format_seconds` (progress); `size_on_disk`, `format_bytes` (sizes); `print_rows`,
`print_entries`, `say`, `escape_controls` (tables); `render`, `Line` (record_text); the tables of scores (reward_tables);
`prepare_streams` (streams).
"""

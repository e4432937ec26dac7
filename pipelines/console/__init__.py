"""What the user sees: tables, progress, records as text.

Used by other rooms: `Progress`, `bar`, `format_seconds` (progress); `print_table`, `print_rows`, `print_line`, `say`, `escape`,
`escape_controls` (tables); `render`, `Line` (record_text); the tables of rewards (reward_tables).
"""

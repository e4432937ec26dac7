"""Parse responses, Python values and tool conversations without running any of them.

Names for `preprocess`: `make_response`, `normalise`, `take_code` (answers), `read_arguments`, `read_call` (assertion),
`read_blocks`, `write_block` (blocks), `find_free_names` (programs), `NotValueError`, `is_same`, `read_literal`, `read_node`,
`read_source` (source_values), `join_call`, `join_results`, `split_call`, `split_results` (call_turns).
For rewards also `is_well_formed`, `take_answer`, `take_blocks`, `take_lines` (answers),
`Arguments`, `calls_function`, `is_same_call`, `read_assertion`, `read_last_assertion` (assertion),
`leave_out_driver` (drivers), `is_identical`, `parse_expression` (source_values), `count_calls`, `take_last_turn`,
`take_turns` (turns).
"""

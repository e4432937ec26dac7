"""The typed recipe: reading YAML, merging, variables, paths, schema, algorithms, validation and upstream keys.

Other rooms use `load`, `Loaded` and `validate_tree` (loading), the models of `schema`, `RecipeError` (problems),
`ALGORITHMS` (algorithms), `FILES` and `is_path` (deepspeed), `dump_schema` (json_schema), `is_secret`, `hide_users` and
`HIDDEN` (secrets), `unflatten`, `deep_merge`, `get_path` and `leaves` (nested), and `Node`, `Origin`, `Loc` and
`key_path` (nodes).
"""

"""User-defined rewards: from a Python file or an installed package, and the options of all rewards.

`load`, `list_rewards`, `broken_packages` (loading) find rewards by name. `read_options`, `option_type` (options) check options.
`import_file`, `find_line`, `UserFileError` (python_files) import a user's Python file.
"""

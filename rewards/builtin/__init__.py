"""Built-in rewards, one module each. `rewards.plugins.loading` imports them by name.

Names for other rooms: `USAGE_KEY`, `ARGUMENT`, `NAME`, `SCHEMA`, `SYSTEM`, `make_reply`, `shorten` (`interpreter_tool`). They
define the Python tool for the converters, the tool served in training and the reward that counts its calls.
"""

"""Built-in rewards, one module each, loaded by name.

Names for other rooms: `ARGUMENT`, `NAME`, `SCHEMA`, `SYSTEM`, `USAGE_KEY`, `make_reply`, `shorten` (interpreter_tool). They
define the Python tool for the converters, the tool served in training and the reward that counts its calls.
"""

"""Wrong recipes: each a small change of a right one, with a part of the line that refuses it.

A new way to be wrong is a line in the file of its section, with what the message must say.
"""

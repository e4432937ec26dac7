"""A chat with a model in the terminal.

`terminal` is what the user sees, `commands` what `/…` does, `connection` starts the server and exchanges events with it;
`server` answers in verl's environment, with the chat template and the tool of the stage (`spec`, `streaming`).
"""

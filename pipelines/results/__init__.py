"""The results of a run in use: models exported and pushed, a chat, and the disk space that a run can give back.

Used by other rooms: `export_to` (exporting), `push` (pushing), `find_removable`, `remove`
(cleaning), `run_chat` (chat.terminal).
`hub_upload` and `chat.server` run in a trainer's environment.
"""

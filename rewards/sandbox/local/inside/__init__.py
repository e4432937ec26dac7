"""What runs inside the local sandbox's processes. It imports only the standard library, and as little of it as possible.

The template forks the workers, and these the programs and sessions. Each process does what its `Steps` say (`driver`), and a
forked process returns with other steps. A worker keeps what programs are, read and write in `buffers`.

The client imports `kernel`, `messages` and `NAME` (child).
"""

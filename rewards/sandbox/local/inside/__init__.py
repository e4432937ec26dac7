"""What runs inside the local sandbox's processes. It imports only the standard library, and as little of it as possible.

The client imports `kernel`, `messages` and `NAME` (child).
"""

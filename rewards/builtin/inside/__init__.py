"""Runners that grade responses in the sandbox, sent there as source. The host imports none of them."""

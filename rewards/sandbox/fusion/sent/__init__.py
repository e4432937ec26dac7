"""Code that is sent to a SandboxFusion service and runs there, under a Python that may be older. Nothing imports it here."""

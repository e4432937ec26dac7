"""Run programs on a SandboxFusion service over HTTP. Other rooms get a `FusionSandbox` (sandbox) from `rewards.sandbox.get`."""

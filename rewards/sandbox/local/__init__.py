"""The local sandbox: programs in processes that the kernel isolates.

Other rooms use `LocalSandbox` (sandbox), and run the module `rewards.sandbox.local.examine`.
"""

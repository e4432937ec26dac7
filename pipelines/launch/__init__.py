"""Run a recipe on a cluster: render the script, check the cluster, submit, follow and stop the job.

For other rooms: `submit`, `render`, `TARGETS` (submission), `find_job`, `stop_job`, `describe_job` (jobs), `follow` (following) and
`read_settings` (settings). Rendering is a function of values (`job`, `slurm/script`, `ray/script`, `kuberay`); `slurm/commands` and
`ray/client` are the only modules that talk with a cluster.
"""

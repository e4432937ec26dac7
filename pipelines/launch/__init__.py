"""Run a recipe on a cluster: render the script, check the cluster, submit, follow and stop the job.

For other rooms: `submit` and `render` (submission), `Job`, `Target` and `TARGETS` (job), `read_settings` (settings), and
`stop_job`, `describe_job` and `follow_job` (jobs). Rendering is a function of values (`slurm/script`, `ray/script`, `kuberay`);
only `slurm/commands` and `ray/client` talk with a cluster.
"""

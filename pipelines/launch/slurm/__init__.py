"""Slurm: the sbatch script as a function of values, and the commands that talk with the cluster."""

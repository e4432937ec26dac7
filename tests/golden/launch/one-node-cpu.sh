#!/bin/bash
# Run mine on 1 node. Written by `pipeline submit`.
#SBATCH --job-name=mine
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
#SBATCH --output=/shared/runs/mine/launch/slurm-%j.log
set -uo pipefail
run_directory=/shared/runs/mine
fail() { echo "error: $*" >&2; exit 2; }

# Before the time limit Slurm sends USR1 to this script: the run is stopped in order, and the requeued job resumes it from its
# last checkpoint. `pipeline stop` sends TERM.
run=
ending=
end_run() { ending=$1; [ -z "$run" ] || kill -TERM "$run" 2>/dev/null; }
trap 'end_run requeue' USR1
trap 'end_run stop' TERM

# Every node must have these files; what is written here must be found there.
nonce="$run_directory/launch/nonce-$SLURM_JOB_ID"
touch "$nonce" || fail "$(hostname): $run_directory is not writable"
bash -c 'for path; do [ -e "$path" ] || { echo "error: ${SLURMD_NODENAME:-$(hostname)} has no $path; it must be on a file system that all nodes share" >&2; exit 1; }; done' check "$nonce" /shared/verl/bin/python || exit 2
rm -f "$nonce"

status=143
if [ -z "$ending" ]; then
  /shared/venv/bin/pipeline run "$run_directory/launch/recipe.yaml" --runs /shared/runs &
  run=$!
  # A signal ends `wait`, not the run.
  while wait "$run"; status=$?; kill -0 "$run" 2>/dev/null; do :; done
fi
if [ "$ending" = requeue ] && [ "$status" -ne 0 ]; then
  trap '' TERM
  echo "near the time limit: job $SLURM_JOB_ID is requeued and resumes the run"
  scontrol requeue "$SLURM_JOB_ID" && status=0
fi
exit "$status"

#!/bin/bash
# Run mine on 2 nodes. Written by `pipeline submit`.
#SBATCH --job-name=mine
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
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
srun --overlap --nodes=2 --ntasks=2 --ntasks-per-node=1 bash -c 'for path; do [ -e "$path" ] || { echo "error: ${SLURMD_NODENAME:-$(hostname)} has no $path; it must be on a file system that all nodes share" >&2; exit 1; }; done' check "$nonce"  || exit 2
rm -f "$nonce"

# Ray on the allocation, in verl's environment: the head on the first node, a worker on each of the others.
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
workers=$(IFS=,; echo "${nodes[*]:1}")
# The head's address as the last node resolves it: many machines resolve their own name to a loopback address.
name=$(scontrol --oneliner show node "$head" | sed -n 's/.* NodeAddr=\([^ ]*\).*/\1/p')
address=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="${nodes[-1]}" getent ahostsv4 "$name" | awk 'NR == 1 { print $1 }')
[ -n "$address" ] || fail "${nodes[-1]} cannot resolve $name, the address of $head"
export RAY_ADDRESS="$address:$((20000 + SLURM_JOB_ID % 10000))" RAY_FOLDER="/tmp/ray-$SLURM_JOB_ID"
# Only this job can use its Ray.
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0
ray_log="$run_directory/launch/ray-$SLURM_JOB_ID"
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" --output="$ray_log-head.log" '--container-image=registry#team/image:1' --container-mounts=/shared:/shared bash -c \
  'exec env "$PIPELINE_VERL_PYTHON" -m ray.scripts.scripts start --head --node-ip-address="${RAY_ADDRESS%:*}" --port="${RAY_ADDRESS##*:}" --temp-dir="$RAY_FOLDER" --num-cpus="$SLURM_CPUS_ON_NODE" --num-gpus=8 --include-dashboard=false --block' &
ray_head=$!
srun --overlap --nodes=1 --ntasks=1 --nodelist="$workers" --output="$ray_log-worker-%t.log" '--container-image=registry#team/image:1' --container-mounts=/shared:/shared bash -c \
  'for try in {1..60}; do (exec 3<>"/dev/tcp/${RAY_ADDRESS%:*}/${RAY_ADDRESS##*:}") 2>/dev/null && break; sleep 1; done; exec env "$PIPELINE_VERL_PYTHON" -m ray.scripts.scripts start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_ON_NODE" --num-gpus=8 --block' &
ray_workers=$!
end_ray() {
  trap - EXIT
  kill -TERM "$ray_workers" "$ray_head" 2>/dev/null
  wait "$ray_workers" "$ray_head"
  srun --overlap --nodes=2 --ntasks=2 --ntasks-per-node=1 rm -rf "$RAY_FOLDER"
}
trap end_ray EXIT
srun --overlap --nodes=1 --ntasks=1 --relative=0 '--container-image=registry#team/image:1' --container-mounts=/shared:/shared bash -c 'exec env "$PIPELINE_VERL_PYTHON" -m pipelines.launch.ray.nodes 2' || fail "Ray has not started on 2 nodes; see $ray_log-*.log"

status=143
if [ -z "$ending" ]; then
  srun --overlap --nodes=1 --ntasks=1 --relative=0 '--container-image=registry#team/image:1' --container-mounts=/shared:/shared pipeline run "$run_directory/launch/recipe.yaml" --runs /shared/runs &
  run=$!
  # A signal ends `wait`, not the run.
  while wait "$run"; status=$?; kill -0 "$run" 2>/dev/null; do :; done
fi
if [ "$ending" = requeue ] && [ "$status" -ne 0 ]; then
  trap '' TERM
  end_ray
  echo "near the time limit: job $SLURM_JOB_ID is requeued and resumes the run"
  scontrol requeue "$SLURM_JOB_ID" && status=0
fi
exit "$status"

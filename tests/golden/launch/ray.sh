#!/bin/bash
# Run mine on the Ray cluster of http://head:8265. Written by `pipeline submit`; it runs as a Ray job.
set -uo pipefail
export A=b
exec /shared/venv/bin/pipeline run '/shared/my runs/mine/launch/recipe.yaml' --runs '/shared/my runs'

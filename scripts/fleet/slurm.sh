#!/usr/bin/env bash
# Measures every node of a Slurm job and says which of them fall behind the others.
#
#   sbatch --nodes 16 scripts/fleet/slurm.sh
#   sbatch --nodes 4 --export ALL,EFFORT=quick,THRESHOLD=10% scripts/fleet/slurm.sh
#
# The profiles lie in `rooflab-<job>/<node>.json` where the job was submitted, which all nodes must see; the comparison is in `rooflab-<job>.log`.
# The job fails when a node falls behind. `rooflab` is taken from PATH, or from ROOFLAB; PROBES is a pattern such as `memory.*`,
# for less than all that the effort measures.
#
#SBATCH --job-name=rooflab
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --output=rooflab-%j.log
set -euo pipefail

export ROOFLAB=${ROOFLAB:-rooflab} DEVICE=${DEVICE:-cpu} EFFORT=${EFFORT:-normal} PROBES=${PROBES:-}
export FOLDER=rooflab-$SLURM_JOB_ID
mkdir -p "$FOLDER"

# One task on each node, with all of its cores: rooflab pins its threads itself. The name of a node is in the name of its file, and nowhere else.
# shellcheck disable=SC2016  # each node expands its own name
srun --ntasks-per-node=1 --cpu-bind=none bash -c '
    "$ROOFLAB" probe --device "$DEVICE" --effort "$EFFORT" ${PROBES:+--probe "$PROBES"} --no-save --output "$FOLDER/$SLURMD_NODENAME.json" \
        >"$FOLDER/$SLURMD_NODENAME.txt" 2>&1'

"$ROOFLAB" profile merge "$FOLDER" --threshold "${THRESHOLD:-5%}" --output "$FOLDER-typical.json"

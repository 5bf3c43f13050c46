#!/usr/bin/env bash
# Hand a whole run to Slurm, whatever stages its recipe has: in turn one job for what needs all rows at once, an array of
# shards for what goes row by row, and one that merges them. Every job begins when the one before it has ended well.
#
#   bash slurm.sh recipe.yaml /shared/runs/mine
#   SHARDS=32 bash slurm.sh recipe.yaml /shared/runs/mine
#
# The run's folder, the recipe and what it names must lie where every node sees them. What fails or runs out of time is
# mended by handing the same run in again: whatever is done is not done again.
set -euo pipefail

usage="usage: bash slurm.sh RECIPE RUN"
recipe=${1:?$usage}
run=${2:?$usage}
shards=${SHARDS:-16}
charter=${CHARTER:-charter} # a path, where this machine and the nodes do not find it by its name
logs=${LOGS:-$run.logs}

# What your cluster calls these. One task of an array has one GPU; so has a training. A merge needs none.
on_gpu=(--gpus-per-node=1 --cpus-per-task=8 --mem=64G --time=12:00:00)
on_cpu=(--cpus-per-task=4 --mem=32G --time=02:00:00)

# What is to be done in turn, a line each: "alone prompts", "shards revise", "alone sft", "shards pairs label", ...
phases=$("$charter" plan "$recipe" --phases)
mkdir -p "$logs"

# submit NAME AFTER COMMAND OPTION...: hand in one job, which begins when the job AFTER has ended well; print its number.
# A task whose node is lost goes back into the queue, and goes on where it was.
submit() {
    local name=$1 after=$2 command=$3
    shift 3
    if [[ -n $after ]]; then
        set -- "$@" --dependency="afterok:$after" --kill-on-invalid-dep=yes
    fi
    sbatch --parsable --requeue --job-name="charter-$name" --output="$logs/$name-%A_%a.log" "$@" --wrap="$command" \
        </dev/null | cut -d ';' -f 1
}

printf -v run_it '%q run %q --out %q' "$charter" "$recipe" "$run"
printf -v merge '%q merge %q' "$charter" "$run"
# All that is left before the next stage that shards do. Handed in again, the first job may have a training to do.
alone="$run_it --until shards"
# Each task of an array does the shard of its number, and of each stage what can be done without the others' rows.
# The variable is for the node to read, not for this script.
shard="$run_it --shard \$SLURM_ARRAY_TASK_ID/$shards"

last=""
while read -r who stages; do
    name=${stages%% *} # a job is called by the first of its stages
    if [[ $who == shards ]]; then
        last=$(submit "$name" "$last" "$shard" --array="1-$shards" "${on_gpu[@]}")
        last=$(submit "merge-$name" "$last" "$merge" "${on_cpu[@]}")
    else
        last=$(submit "$name" "$last" "$alone" "${on_gpu[@]}")
    fi
done <<<"$phases"

echo "handed in: the last job is $last; 'charter status $run' says how far the run is"

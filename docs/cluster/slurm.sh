#!/usr/bin/env bash
# Hand a whole run to Slurm: prompts, then arrays of shards for what goes row by row, each array followed by one job that
# merges the shards and does what needs all rows at once. Every job begins when the one before it has ended well.
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
charter=${CHARTER:-charter} # a path, where the nodes do not find it by its name
logs=${LOGS:-$run.logs}

# What your cluster calls these. One task of an array has one GPU; so has a training. A merge needs none.
on_gpu=(--gpus-per-node=1 --cpus-per-task=8 --mem=64G --time=12:00:00)
on_cpu=(--cpus-per-task=4 --mem=32G --time=02:00:00)

mkdir -p "$logs"

# submit NAME AFTER COMMAND OPTION...: hand in one job, which begins when the job AFTER has ended well; print its number.
# A task whose node is lost goes back into the queue, and goes on where it was.
submit() {
    local name=$1 after=$2 command=$3
    shift 3
    if [[ -n $after ]]; then
        set -- "$@" --dependency="afterok:$after" --kill-on-invalid-dep=yes
    fi
    sbatch --parsable --requeue --job-name="charter-$name" --output="$logs/$name-%A_%a.log" "$@" --wrap="$command" |
        cut -d ';' -f 1
}

printf -v run_it '%q run %q --out %q' "$charter" "$recipe" "$run"
printf -v merge '%q merge %q' "$charter" "$run"
printf -v sft '%q sft %q --out %q' "$charter" "$recipe" "$run"
printf -v dpo '%q dpo %q --out %q' "$charter" "$recipe" "$run"
# Each task of an array does the shard of its number, and of each stage what can be done without the others' rows.
# The variable is for the node to read, not for this script.
shard="$run_it --shard \$SLURM_ARRAY_TASK_ID/$shards"

# Prompts need a GPU only where the recipe has a model write them.
prompts=$(submit prompts "" "$run_it --until prompts" "${on_gpu[@]}")
revise=$(submit revise "$prompts" "$shard" --array="1-$shards" "${on_gpu[@]}")
merged=$(submit merge-revise "$revise" "$merge" "${on_cpu[@]}")
trained=$(submit sft "$merged" "$sft" "${on_gpu[@]}")
label=$(submit label "$trained" "$shard" --array="1-$shards" "${on_gpu[@]}")
merged=$(submit merge-label "$label" "$merge" "${on_cpu[@]}")
trained=$(submit dpo "$merged" "$dpo" "${on_gpu[@]}")
evaluate=$(submit evaluate "$trained" "$shard" --array="1-$shards" "${on_gpu[@]}")
merged=$(submit merge "$evaluate" "$merge" "${on_cpu[@]}")

echo "handed in: the last job is $merged; 'charter status $run' says how far the run is"

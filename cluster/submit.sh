#!/usr/bin/env bash
# Submits a folder of slides as a SLURM job array, and the merge of the results after it.
#
#   submit.sh [OPTION...] SLIDES OUT [-- OPTIONS OF gloinone run]
#
#   --sif FILE             the image; default: renaltool.sif in the working folder
#   --program FILE         a gloinone that is installed, instead of the image
#   --gpu REQUEST          as this site asks for a GPU, e.g. --gpu --gres=gpu:1; without it the CPU computes
#   --slides-per-task N    default 10; more if the site allows no array that long
#   --tasks-at-once N      default: as many as SLURM lets run
#   --cpus N  --memory SIZE  --time LIMIT      of one task; default 4, 16G, 04:00:00
#   --sbatch OPTION        any other option of sbatch, e.g. --sbatch --partition=gpu; may repeat
#   --bind FOLDER          a further folder that the slides or the options need, e.g. what links lead to; may repeat
#   --dry-run              write the list of slides, print what would be submitted
#
# The same line again goes on with what is not done; with -- --pending it leaves out what failed.
set -euo pipefail

stop() {
  echo "error: $*" >&2
  exit 2
}

sif=renaltool.sif program='' gpu='' per_task=10 at_once='' cpus=4 memory=16G time=04:00:00 dry_run=no
sbatch_options=() folders=() places=() run_options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h)
      sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
    --dry-run) dry_run=yes ;;
    --sif | --program | --gpu | --slides-per-task | --tasks-at-once | --cpus | --memory | --time | --sbatch | --bind)
      [ $# -gt 1 ] || stop "$1 needs a value"
      case "$1" in
        --sif) sif=$2 ;;
        --program) program=$2 ;;
        --gpu) gpu=$2 ;;
        --slides-per-task) per_task=$2 ;;
        --tasks-at-once) at_once=$2 ;;
        --cpus) cpus=$2 ;;
        --memory) memory=$2 ;;
        --time) time=$2 ;;
        --sbatch) sbatch_options+=("$2") ;;
        --bind) folders+=("$(realpath -- "$2")") ;;
      esac
      shift
      ;;
    --)
      shift
      run_options=("$@")
      break
      ;;
    -*) stop "$1 is not an option of submit.sh (see --help); options of gloinone run follow --" ;;
    *) places+=("$1") ;;
  esac
  shift
done
[ ${#places[@]} = 2 ] || stop "give SLIDES and OUT; see --help"
[[ $per_task =~ ^[1-9][0-9]*$ ]] || stop "--slides-per-task $per_task: a number from 1 on"
command -v sbatch >/dev/null || stop "no sbatch here; log in to a machine from which jobs are submitted"
[ -e "${places[0]}" ] || stop "${places[0]}: no such file or folder"
mkdir -p -- "${places[1]}"
slides=$(realpath -- "${places[0]}")
out=$(realpath -- "${places[1]}")
here=$(dirname -- "$(realpath -- "$0")")

# The list of slides needs the key of the pseudonyms and the slides of --only-listed too.
key=() only=() before=''
for option in "${run_options[@]}"; do
  case "$option" in
    --pseudonyms=*) key=(--pseudonyms "${option#*=}") ;;
    --only-listed | --mpp-csv=*) only+=("$option") ;;
  esac
  case "$before" in
    --pseudonyms) key=(--pseudonyms "$option") ;;
    --mpp-csv) only+=(--mpp-csv "$option") ;;
  esac
  before=$option
done

if [ -n "$program" ]; then
  found=$(command -v -- "$program") || stop "$program: no such program"
  command=("$(realpath -s -- "$found")")
else
  runtime=$(command -v apptainer || command -v singularity) || stop "no apptainer here; try: module load apptainer"
  [ -f "$sif" ] || stop "$sif: no such image; docs/cluster.md says how to make it, --sif where it lies"
  # Nothing of the user's home, settings or environment gets in; folders keep their paths, for logs and messages.
  command=("$runtime" run --contain --cleanenv --pwd /tmp)
  [ -z "$gpu" ] || command+=(--nv)
  mode=:ro
  [[ " ${run_options[*]} " != *" --xml-beside-slide "* ]] || mode=
  for folder in "$slides" "$out" "${folders[@]}"; do
    case "$folder" in *[,:]*) stop "$folder: an image cannot be given a path with a comma or colon; rename it" ;; esac
  done
  command+=(--bind "$slides:$slides$mode" --bind "$out:$out")
  for folder in "${folders[@]}"; do command+=(--bind "$folder:$folder:ro"); done
  [ ${#key[@]} = 0 ] || command+=(--bind "$(dirname -- "${key[1]}")") # new slides are added to it
  command+=("$(realpath -- "$sif")")
fi

"${command[@]}" list "$slides" "$out" "${key[@]}" "${only[@]}"
n_slides=$(wc -l <"$out/slides.txt")
longest=$(scontrol show config | awk '$1 == "MaxArraySize" { print $3 }')
longest=${longest:-1001}
if [ "$per_task" -lt $(((n_slides + longest - 1) / longest)) ]; then
  per_task=$(((n_slides + longest - 1) / longest))
fi
shards=$(((n_slides + per_task - 1) / per_task))

# What a run refuses, such as an option it does not know, is refused now and not by every task when its turn comes. On
# one slide: of each that is done a dry run looks into the file.
"${command[@]}" run "$slides" "$out" "${run_options[@]}" --shard "0/$n_slides" --dry-run >/dev/null

# % is sbatch's own sign in names of files
mkdir -p -- "$out/logs"
logs=${out//%/%%}/logs
array=(sbatch --parsable --array="0-$((shards - 1))${at_once:+%$at_once}" --output="$logs/shard-%a.txt"
  --cpus-per-task="$cpus" --mem="$memory" --time="$time" "${sbatch_options[@]}")
# a request may be several words, as in --gpu "--partition=gpu --gres=gpu:1"
# shellcheck disable=SC2206
[ -z "$gpu" ] || array+=($gpu)
array+=("$here/renaltool.sbatch" "$shards" "${command[@]}" run "$slides" "$out" "${run_options[@]}")
merge=(sbatch --parsable --job-name=renaltool-merge --output="$logs/merge.txt" --open-mode=append --cpus-per-task=1
  --mem=4G --time=01:00:00 "${sbatch_options[@]}")

echo "$n_slides slides in $shards tasks"
if [ "$dry_run" = yes ]; then
  printf '%q ' "${array[@]}"
  echo
  exit 0
fi
job=$("${array[@]}")
job=${job%%;*} # of a federation: job;cluster
merge_job=$("${merge[@]}" --dependency="afterany:$job" <<SCRIPT
#!/bin/bash
exec $(printf '%q ' "${command[@]}" merge "$out")
SCRIPT
)
echo "array $job, merge ${merge_job%%;*}; what they say: $out/logs"
echo "look: squeue --me;  stop: scancel $job ${merge_job%%;*};  result: $out/report.html"

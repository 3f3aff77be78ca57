#!/usr/bin/env bash
# From the data sets to all shipped weights, from nothing: one run a stage, one schedule each.
#
#   DATA=/path/to/sets bash recipes/nano.sh                 two CPU cores, about 57 hours
#   DATA=/path/to/sets SIZE=small bash recipes/nano.sh      the same for a GPU
#   DATA=/path/to/sets HOURS=8 bash recipes/nano.sh         8 hours of training, not 55: each stage gets its share
#   DATA=/path/to/sets LIMIT=3 STEPS=3 bash recipes/nano.sh a try of every command, minutes
#
# It needs bash 4.4 or newer. DATA holds the sets, each with an index.jsonl. The same command again goes on where it was stopped: what is done
# is skipped, what was begun resumes. All seeds are named, so a run with --steps alone repeats to the bit on one machine;
# limits of time end where the machine gets to.
set -euo pipefail

: "${DATA:?the folder that holds the sets}"
DATA=$(cd "$DATA" && pwd) # links point there
OUT=${OUT:-runs/recipe} SIZE=${SIZE:-nano} SETS=${SETS:-scans furniture packages more objects}
LIMIT=${LIMIT:-} STEPS=${STEPS:-} # for a try: objects a set, steps a stage
HOURS=${HOURS:-55}                # of training, all stages together
[[ $HOURS =~ ^[0-9]+(\.[0-9]+)?$ ]] || { echo "error: HOURS is a number, such as 8 or 0.5, not '$HOURS'" >&2; exit 2; }
JOBS=${JOBS:-2}
read -ra sets <<<"$SETS"
if [ "$SIZE" = nano ]; then pixels=128; else pixels=256; fi

if [ -n "$LIMIT" ]; then # the first few of each split, their files beside them
    for set in "${sets[@]}"; do
        mkdir -p "$OUT/sets/$set"
        ln -sf "$DATA/$set"/*.zip "$OUT/sets/$set"
        for split in train val; do
            { grep "\"split\": \"$split\"" "$DATA/$set/index.jsonl" || true; } | sed "${LIMIT}q"
        done >"$OUT/sets/$set/index.jsonl"
    done
    DATA=$OUT/sets
fi

views() { # FOLDER SET OPTIONS: render a split once
    local folder=$1 set=$2
    shift 2
    viewmask render "$DATA/$set/index.jsonl" -j "$JOBS" --out "$OUT/views/$folder/$set" "$@"
}

stage() { # NAME MINUTES OPTIONS: train a stage, or go on with it, or leave it if it is done
    local name=$1 seconds
    seconds=$(awk "BEGIN {print int($2 * 60 * $HOURS / 55)}") # the minutes are those of 55 hours in all
    shift 2
    [ -f "$OUT/$name/done" ] && return
    local resume=()
    [ -d "$OUT/$name/checkpoint" ] && resume=(--resume)
    local until=(--time-limit "$seconds")
    [ -n "$STEPS" ] && until=(--steps "$STEPS")
    viewmask train "$@" --out "$OUT/$name" "${until[@]}" "${resume[@]}"
    touch "$OUT/$name/done"
}

each() { # PREFIX: --data PREFIX/SET for every set
    for set in "${sets[@]}"; do printf -- '--data %s/%s%s ' "$1" "$set" "${2:-}"; done
}

# -- views: a as they are; b and c in other proportions and lights, c from any side; photos of b and c -----
# b and v have twice the pixels, which decoder and refiner learn from.
for set in "${sets[@]}"; do
    views a "$set" --split train --size $pixels
    views b "$set" --split train --size $((2 * pixels)) --jitter --seed 1
    views b-photos "$set" --split train --size $((pixels * 5 / 4)) --photos 4 --jitter --seed 1
    views c "$set" --split train --size $pixels --jitter --random-start --seed 2
    views c-photos "$set" --split train --size $((pixels * 5 / 4)) --photos 4 --jitter --random-start --seed 2
    views v "$set" --split val --size $((2 * pixels)) --jitter --seed 9
    views v-photos "$set" --split val --size $((pixels * 5 / 4)) --photos 4 --jitter --seed 9
done

# -- tokenizer, and a larger decoder for its codes ----------------------------------------------------------
# shellcheck disable=SC2046  # the lists are meant to be split
stage tokenizer 180 tokenizer $(each "$OUT/views/a") $(each "$OUT/views/b") $(each "$OUT/views/c") --preset "$SIZE" --seed 1
tokenizer=$OUT/tokenizer/weights
# shellcheck disable=SC2046
stage decoder 180 decoder $(each "$OUT/views/b") --preset "$SIZE" --tokenizer "$tokenizer" --seed 2

# -- tokens -------------------------------------------------------------------------------------------------
tokens() { # FOLDER COPIES OPTIONS
    local folder=$1 copies=$2
    shift 2
    for set in "${sets[@]}"; do
        [ -f "$OUT/tokens/$folder/$set.parquet" ] && continue
        local photos=()
        [ -d "$OUT/views/$folder-photos" ] && photos=(--photos "$OUT/views/$folder-photos/$set")
        viewmask tokenize "$OUT/views/$folder/$set" "${photos[@]}" --tokenizer "$tokenizer" --augment "$copies" \
            --seed 5 --out "$OUT/tokens/$folder/$set.parquet"
    done
}
tokens a 3
tokens b 2
tokens c 1
tokens v 0

# -- the paper's three stages, and the reranker ---------------------------------------------------------------
# shellcheck disable=SC2046
learnt=($(for folder in a b c v; do each "$OUT/tokens/$folder" .parquet; done))
compile=() # a step then takes half of the time; it needs a compiler
if command -v c++ >/dev/null && [ -z "$STEPS" ]; then compile=(--compile); fi
common=("${learnt[@]}" "${compile[@]}" --tokenizer "$tokenizer" --preset "$SIZE")
stage align 120 align "${common[@]}" --seed 11
stage i2mv 720 i2mv "${common[@]}" --init "$OUT/align/weights" --seed 12
stage t2mv 1080 t2mv "${common[@]}" --init "$OUT/i2mv/weights" --seed 13
stage reranker 30 reranker "${learnt[@]}" --tokenizer "$tokenizer" --init "$OUT/t2mv/weights" --seed 14
# shellcheck disable=SC2046
stage refiner 240 refiner $(each "$OUT/views/b") $(each "$OUT/views/v") --tokenizer "$tokenizer" --init "$OUT/t2mv/weights" \
    "${compile[@]}" --seed 15

# -- how large the object of a photo is in a view, and where --------------------------------------------------
# shellcheck disable=SC2046
stage framing 30 framing $(for folder in b b-photos v v-photos; do each "$OUT/views/$folder"; done) --seed 21

# -- the field that shapes meshes -----------------------------------------------------------------------------
for set in "${sets[@]}"; do
    views field "$set" --split train --size 128 --passes points
    views field-val "$set" --split val --size 128 --passes points
done
# shellcheck disable=SC2046
stage field 720 recon $(each "$OUT/views/field") $(each "$OUT/views/field-val") --seed 20

# -- together: what --weights takes ---------------------------------------------------------------------------
mkdir -p "$OUT/weights"
cp -r "$OUT/decoder/weights" "$OUT/weights/tokenizer.new" && rm -rf "$OUT/weights/tokenizer"
mv "$OUT/weights/tokenizer.new" "$OUT/weights/tokenizer"
for name in transformer:t2mv reranker:reranker refiner:refiner framing:framing; do
    rm -rf "$OUT/weights/${name%%:*}"
    cp -r "$OUT/${name##*:}/weights" "$OUT/weights/${name%%:*}"
done
viewmask generate --text "a red chair" --weights "$OUT/weights" --out "$OUT/red-chair" --force
echo "wrote $OUT/weights (viewmask generate --weights) and $OUT/field/weights (viewmask reconstruct --weights)"

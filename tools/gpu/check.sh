#!/usr/bin/env bash
# bash check.sh FOLDER: builds, checks and times the programs that `python -m tools.gpu.generate FOLDER` wrote.
# Needs nvcc alone. Without a GPU the programs are built and not run. The table is the last output; ends with 1 where a
# program does not build or computes what is wrong. ARCH names the instruction set (default: that of the GPU, else sm_90).
set -uo pipefail
folder=${1:?usage: bash check.sh FOLDER}
command -v nvcc >/dev/null || { echo "error: there is no nvcc on the path" >&2; exit 1; }
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d '. ')
[[ $capability =~ ^[0-9]+$ ]] || capability=
arch=${ARCH:-sm_${capability:-90}}
mkdir -p "$folder/bin"
failed=0
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT

echo "building for $arch, with $(nvcc --version | tail -n 1)"
build() {
  local program="$folder/bin/$(basename "$1" .cu)"
  nvcc -O3 -std=c++17 -arch="$arch" -Xptxas -v -I"$folder/include" "$1" -o "$program" >"$program.log" 2>&1
  local code=$?
  printf '%-44s %s\n' "$(basename "$1")" "$(grep -o 'Used [0-9]* registers\|[0-9]* bytes spill stores' "$program.log" | sort -ru | paste -sd' ')"
  [ $code = 0 ] || { echo "error: $1 does not build:"; cat "$program.log"; }
  return $code
}
export -f build
export folder arch
printf '%s\0' "$folder"/*.cu | xargs -0 -n 1 -P "$(nproc)" bash -c 'build "$0"' || failed=1

if [ -z "$capability" ]; then
  echo "there is no GPU: built, not run"
  exit $failed
fi
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    for source in "$folder"/*_small_*.cu; do
      compute-sanitizer --tool "$tool" --error-exitcode 9 "$folder/bin/$(basename "$source" .cu)" >"$folder/bin/$tool.log" 2>&1 \
        || { failed=1; echo "error: $tool finds fault with $(basename "$source"):"; tail -n 20 "$folder/bin/$tool.log"; }
    done
    echo "$tool: done"
  done
fi
for source in "$folder"/*.cu; do
  "$folder/bin/$(basename "$source" .cu)" >>"$rows" || failed=1
done
echo
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
echo "| case                       | is    | error   | ms        | GB/s     | copy     | of it | GFLOP/s  |"
echo "|----------------------------|-------|---------|-----------|----------|----------|-------|----------|"
cat "$rows"
exit $failed

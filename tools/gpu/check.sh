#!/usr/bin/env bash
# bash check.sh FOLDER: builds, checks and times the programs that `python -m tools.gpu.generate FOLDER` wrote, and what they are
# compared with: cuBLAS where the toolkit has it; where python3 has torch, torch and torch.compile; where it has irkit too, whole
# models. Needs nvcc alone. What is missing is named in the table, which is the last output. Without a GPU all is built and
# nothing run. Ends with 1 where a program does not build or computes what is wrong. ARCH names the instruction set (default: that
# of the GPU, else sm_90).
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
  printf '%-52s %s\n' "$(basename "$1")" "$(grep -o 'Used [0-9]* registers\|[0-9]* bytes spill stores' "$program.log" | sort -ru | paste -sd' ')"
  [ $code = 0 ] || { echo "error: $1 does not build:"; cat "$program.log"; }
  return $code
}
export -f build
export folder arch
printf '%s\0' "$folder"/[0-9]*.cu | xargs -0 -n 1 -P "$(nproc)" bash -c 'build "$0"' || failed=1


blas=
if printf '#include <cublas_v2.h>\n' | nvcc -x cu -E - >/dev/null 2>&1; then
  nvcc -O2 -std=c++17 -arch="$arch" "$folder/blas.cu" -lcublas -o "$folder/bin/blas" && blas=1 || failed=1
fi
[ -n "$blas" ] || echo '| all products                       | cuBLAS           | missing: the toolkit has no cublas_v2.h, or it does not build' >>"$rows"
cat "$folder/missing.txt" >>"$rows"

if [ -z "$capability" ]; then
  cat "$rows"
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
else
  echo '| small cases                        | compute-sanitizer | missing: it is not on the path' >>"$rows"
fi
names=()
for source in "$folder"/[0-9]*.cu; do
  name=$(basename "$source" .cu)
  "$folder/bin/$name" >>"$rows" || failed=1
  [[ $name == *_large_* ]] && names+=("${name#*_large_}")
done
[ -z "$blas" ] || "$folder/bin/blas" "${names[@]}" >>"$rows" || failed=1
if command -v python3 >/dev/null; then
  python3 "$folder/peers.py" "$folder" >>"$rows" || failed=1
  python3 "$folder/models.py" >>"$rows" || failed=1
else
  echo '| all                                | torch            | missing: there is no python3' >>"$rows"
fi
echo
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
echo "| case                               | what             | is    | error   | ms        | GB/s     | copy     | of it | GFLOP/s  |"
echo "|------------------------------------|------------------|-------|---------|-----------|----------|----------|-------|----------|"
sort -s -t '|' -k 2,2 "$rows"
exit $failed

#!/usr/bin/env bash
# On a machine with a GPU and without network: makes an environment from its own packages and the wheels that it lacks,
# and settles all that only such a machine can. Needs Python 3.11 or newer; pycuda is built, with the CUDA toolkit.
#   elsewhere:  sh tools/gpu-wheels.sh WHEELS        # with network: fetches the wheels, some hundred MB
#   there:      bash tools/gpu-check.sh WHEELS BUNDLE CHECKPOINT PICTURES OUT [SECTION...]
set -euo pipefail
if [ $# -lt 5 ]; then sed -n '2,5s/^# *//p' "$0" >&2; exit 2; fi
wheels=$1 bundle=$2 checkpoint=$3 pictures=$4 out=$5
shift 5
project=$(cd "$(dirname "$0")/.." && pwd)
venv=${VENV:-$out/venv}
mkdir -p "$out"
"${PYTHON:-python3}" -m venv --system-site-packages "$venv"
export CUDA_ROOT=${CUDA_ROOT:-/usr/local/cuda}
echo 'CUDA_ENABLE_CURAND = False' > "$HOME/.aksetup-defaults.py" # pycuda's random numbers are not used
# Each by itself: what cannot be had does not take the rest along. What the machine has already is kept.
while read -r package; do
  case $package in '' | '#'*) continue ;; esac
  "$venv/bin/python" -m pip install -q --no-index --no-build-isolation --no-deps --find-links "$wheels" "$package" ||
    echo "not to be had: $package" >&2
done < "$project/tools/gpu-wheels.txt"
"$venv/bin/python" "$project/tools/gpu_check.py" --bundle "$bundle" --checkpoint "$checkpoint" \
  --pictures "$pictures" --out "$out" "$@"

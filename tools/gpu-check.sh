#!/usr/bin/env bash
# On a machine with a GPU and without network: makes an environment from its own packages and the wheels that it lacks,
# and settles all that only such a machine can. Needs the Python for which the wheels were packed.
#   elsewhere:  bash tools/gpu-wheels.sh PARTS [onnxruntime-gpu]   # with network: some 300 MB, or 550
#   there:      bash tools/gpu-check.sh PARTS BUNDLE CONFIG PICTURES OUT [SECTION...]
set -euo pipefail
if [ $# -lt 5 ]; then sed -n '2,5s/^# *//p' "$0" >&2; exit 2; fi
parts=$1 bundle=$2 config=$3 pictures=$4 out=$5
shift 5
project=$(cd "$(dirname "$0")/.." && pwd)
venv=${VENV:-$out/venv}
mkdir -p "$out/wheels"
(cd "$parts" && sha256sum --quiet -c sha256)
cat "$parts"/part.* | tar -x -C "$out/wheels"
python=${PYTHON:-python3}
"$python" -m venv --system-site-packages "$venv"
# The machine's own packages, where its Python is an environment itself: --system-site-packages passes that one over.
machine=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$machine" > \
  "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/machine.pth"
# ONNX Runtime looks for CUDA and cuDNN beside itself, then here.
for folder in "$machine"/nvidia/*/lib; do LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; done
export LD_LIBRARY_PATH
# What the machine has already is kept. All at once, or else each by itself: what cannot be had takes nothing else along.
install() { "$venv/bin/python" -m pip install -q --no-compile --no-index --no-deps --find-links "$out/wheels" "$@"; }
install -r "$out/wheels/packages" || while read -r package; do
  install "$package" || echo "could not be installed: $package" >&2
done < "$out/wheels/packages"
"$venv/bin/python" "$project/tools/gpu_check.py" --bundle "$bundle" --training "$config" \
  --pictures "$pictures" --out "$out" "$@"

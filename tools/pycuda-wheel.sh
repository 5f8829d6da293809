#!/usr/bin/env bash
# Builds pycuda's wheel where there is neither a GPU nor its driver nor the CUDA toolkit, with a C++ compiler alone, in some
# minutes, for the Python that PYTHON names:  PYTHON=python3.12 bash tools/pycuda-wheel.sh FOLDER
set -euo pipefail
if [ $# -lt 1 ]; then sed -n '2,3s/^# *//p' "$0" >&2; exit 2; fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
python=$(realpath -s "$(command -v "${PYTHON:-python3}")")
project=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
"$python" -m venv venv
pip="venv/bin/pip --disable-pip-version-check -q"
$pip install setuptools wheel numpy -c "$project/constraints.txt"
# The driver's headers, and an empty library in place of the driver's: pycuda finds the real one when it is imported.
$pip install --no-deps --target headers nvidia-cuda-runtime==13.0.96 nvidia-cuda-profiler-api==13.0.85
echo > empty.c
gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o libcuda.so empty.c
$pip download --no-deps --no-build-isolation --no-binary=pycuda -c "$project/constraints.txt" pycuda
tar xf pycuda-*.tar.gz
mv pycuda-*/ source
cat > source/siteconf.py <<CONFIGURATION
CUDA_ROOT = "$scratch/headers/nvidia/cu13"
CUDADRV_LIB_DIR = ["$scratch"]
CUDA_ENABLE_CURAND = False
CONFIGURATION
# Late binding: over a driver that is older, or the stand-in of the tests, what is not asked for may be missing.
LDFLAGS='-Wl,--no-as-needed -Wl,-z,lazy -Wl,--strip-debug' \
  $pip wheel --no-deps --no-build-isolation -w "$folder" ./source
ls "$folder"/pycuda-*.whl

#!/usr/bin/env bash
# Packs, for tools/gpu-check.sh on a machine without network, what tools/gpu-wheels.txt names, into PARTS/part.00 and on of
# 60 MiB at most: bring as many over at a time as pass. For CPython 3.12 on x86-64.  bash tools/gpu-wheels.sh PARTS [PACKAGE...]
# PACKAGE: what else it lacks: onnxruntime-gpu (256 MB) where its ONNX Runtime is a CPU's build.
# HAS: a file that names, one a line, what else that machine has: it is left out.
# SM: that GPU's compute capability, 90 for an H100 or H200: onnxruntime-gpu becomes 59 MB (tools/slim_wheel.py).
# PYTHON: another version's command, which has to be here, since pycuda is built with it.
set -euo pipefail
if [ $# -lt 1 ]; then sed -n '2,7s/^# *//p' "$0" >&2; exit 2; fi
project=$(cd "$(dirname "$0")/.." && pwd)
python=$(command -v "${PYTHON:-python3.12}")
mkdir -p "$1"
parts=$(cd "$1" && pwd)
shift
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
mkdir "$wheels/all"
by_name() { sed '/^ *#/d; /^ *$/d' "$@" | tr 'A-Z_' 'a-z-'; }
{ by_name "$project/tools/gpu-wheels.txt" | grep -vxFf <(by_name "${HAS:-/dev/null}"); [ $# = 0 ] || printf '%s\n' "$@"; } > "$wheels/all/packages"
# In one call: pip asks the index for each, whatever it needs itself being named too.
grep -vx pycuda "$wheels/all/packages" > "$wheels/named"
"$python" -m venv "$wheels/venv"
"$wheels/venv/bin/pip" --disable-pip-version-check download -q --no-deps --only-binary=:all: -d "$wheels/all" \
  -c "$project/constraints.txt" -r "$wheels/named"
if ! ls "$parts"/pycuda/*.whl > /dev/null 2>&1; then
  PYTHON=$wheels/venv/bin/python bash "$project/tools/pycuda-wheel.sh" "$parts/pycuda"
fi
cp "$parts"/pycuda/*.whl "$wheels/all"
if [ -n "${SM:-}" ]; then "$python" "$project/tools/slim_wheel.py" "$wheels"/all/onnxruntime_gpu-*.whl "$SM"; fi
rm -f "$parts"/part.*
tar -C "$wheels/all" -cf - . | split -b 60M -d -a 2 - "$parts/part."
cd "$parts"
sha256sum part.* > sha256
du -m part.*

#!/usr/bin/env bash
# Fetches, for tools/gpu-check.sh on a machine without network, what tools/gpu-wheels.txt names: for CPython 3.12 on
# x86-64 (PYTHON_VERSION says another).  sh tools/gpu-wheels.sh WHEELS
set -eu
wheels=${1:?give a folder for the wheels}
project=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
tags=
for glibc in 17 24 27 28 31 34 35; do tags="$tags --platform manylinux_2_${glibc}_x86_64"; done
tags="$tags --platform manylinux1_x86_64 --platform manylinux2014_x86_64 --platform linux_x86_64 --platform any"
while read -r package; do
  how="--only-binary=:all: --implementation cp --python-version ${PYTHON_VERSION:-3.12} $tags"
  case $package in
    '' | '#'*) continue ;;
    pycuda) how='--no-binary=:all: --no-build-isolation' ;; # there are no wheels of it
  esac
  # shellcheck disable=SC2086
  "$python" -m pip download -q --no-deps $how -d "$wheels" -c "$project/constraints.txt" "$package"
done < "$project/tools/gpu-wheels.txt"
ls "$wheels"

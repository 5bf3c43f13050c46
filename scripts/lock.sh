#!/bin/sh
# Write requirements.lock anew: the versions of constraints.txt with the sha256 of every archive that the index has of
# them, for Python 3.11 on Linux (x86-64).
# Usage: lock.sh VENV
set -eu
venv=$1
"$venv/bin/python" -m pip --disable-pip-version-check install --quiet "uv==0.13.9"
"$venv/bin/uv" pip compile pyproject.toml --extra dev --extra docs --constraint constraints.txt \
    --python-platform linux --python-version 3.11.7 --generate-hashes --no-annotate --no-emit-package pip \
    --custom-compile-command "make lock" --quiet --output-file requirements.lock

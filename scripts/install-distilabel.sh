#!/bin/sh
# Make a virtual environment with distilabel and no Charter: for benchmarks/generation.py, which compares with it.
# Usage: install-distilabel.sh PYTHON VENV
set -eu
python=$1
venv=$2
torch=$(sed -n 's/^torch==//p' constraints.txt)

echo "installing about 2 GB of packages into $venv: some minutes" >&2
"$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

pip install "torch==$torch+cpu" 2>/dev/null ||
    pip install --index-url https://download.pytorch.org/whl/cpu "torch==$torch"
# It imports requests and setuptools, and does not say so to pip.
pip install --constraint constraints.txt "distilabel==1.5.3" transformers requests setuptools

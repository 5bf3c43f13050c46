#!/bin/sh
# Make a virtual environment with vLLM's CPU build and Charter, at the versions of constraints-vllm.txt: for tests.
# Usage: install-vllm.sh PYTHON VENV
set -eu
python=$1
venv=$2
torch=$(sed -n 's/^torch==//p' constraints-vllm.txt)

echo "installing about 3 GB of packages into $venv: some minutes" >&2
"$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

pip install "torch==$torch" 2>/dev/null ||
    pip install --index-url https://download.pytorch.org/whl/cpu "torch==${torch%+cpu}"
# Everything by its exact version and nothing besides: vLLM would bring a torchvision, a torchaudio and a torchcodec
# that fit no torch for CPUs, and with which transformers cannot be imported. No language model needs them.
pip install --no-deps --requirement constraints-vllm.txt
pip install --no-deps --editable .

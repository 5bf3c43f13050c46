#!/bin/sh
# Make a virtual environment with Charter and everything its tests and docs need, at the versions of constraints.txt.
# Usage: install.sh PYTHON VENV [hashes]
# With "hashes" every archive must be one of requirements.lock (Python 3.11 on Linux, x86-64).
set -eu
python=$1
venv=$2
hashes=${3-}
torch=$(sed -n 's/^torch==//p' constraints.txt)

"$python" - <<'CHECK' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Charter needs Python 3.11 or newer; this is {sys.version.split()[0]}. Set PYTHON, as in: make demo PYTHON=python3.12")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("Python's venv is missing; on Debian: apt install python3-venv")
CHECK

if command -v nvidia-smi >/dev/null 2>&1; then gpu=yes size=7; else gpu=no size=2; fi
echo "installing about $size GB of packages into $venv: some minutes" >&2
if [ -t 1 ]; then quiet=; else quiet=--quiet; fi  # a terminal shows pip's progress, a log has no use for it

"$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

if [ "$hashes" ]; then
    locked() { pip install $quiet --require-hashes --no-deps --requirement "$@"; }
    if [ "$gpu" = yes ]; then
        locked requirements.lock
    else
        locked requirements-cpu.lock --extra-index-url https://download.pytorch.org/whl/cpu
        # Each entry is a line that is not indented, and those of its hashes.
        awk '/^[^ ]/ { kept = !/^(torch|triton|cuda-|nvidia-)/ } kept' requirements.lock >"$venv/requirements.lock"
        locked "$venv/requirements.lock"
    fi
    pip install $quiet --no-deps --no-build-isolation --editable .
    exit
fi

# Without a GPU the CUDA build of torch is several gigabytes of nothing. The CPU build has a version of its own, which
# some indexes carry beside the ordinary one; PyTorch's own index always does.
if [ "$gpu" = no ]; then
    pip install $quiet "torch==$torch+cpu" 2>/dev/null ||
        pip install $quiet --index-url https://download.pytorch.org/whl/cpu "torch==$torch" ||
        echo "No CPU build of torch found; installing the ordinary one." >&2
fi
pip install $quiet --constraint constraints.txt --editable ".[dev,docs]"

#!/bin/sh
# Make a virtual environment with lm-eval and Inspect over another one with Charter: for tests.
# Both want older versions of a package or two; all others, torch among them, are read from the environment below.
# Usage: install-harnesses.sh BELOW VENV
set -eu
below=$(cd "$1" && pwd)
venv=$2

echo "installing about 300 MB of packages into $venv: a minute" >&2
"$below/bin/python" -m venv "$venv"
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
underneath=$("$below/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$underneath')" > "$packages/below.pth"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

# Everything by its exact version, whatever lies below, and nothing besides.
pip install --no-deps --ignore-installed --requirement constraints-harnesses.txt

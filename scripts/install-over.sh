#!/bin/sh
# Make a virtual environment over another one with Charter, with packages that want other versions: for tests.
# What differs is installed; all other packages, torch among them, are read from the environment below.
# Usage: install-over.sh BELOW VENV REQUIREMENTS
set -eu
below=$(cd "$1" && pwd)
venv=$2
requirements=$3

echo "installing about 300 MB of packages into $venv: a minute" >&2
"$below/bin/python" -m venv "$venv"
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
underneath=$("$below/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$underneath')" > "$packages/below.pth"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

# Everything by its exact version, whatever lies below, and nothing besides.
pip install --no-deps --ignore-installed --requirement "$requirements"

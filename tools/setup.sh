#!/bin/sh
# Set up .venv with minidiff and one of its extras, in the tested versions: sh tools/setup.sh dev
set -eu
unset PYTHONPATH PYTHONHOME || true # of a host's own Python: .venv has its own libraries
extra=$1
python=.venv/bin/python

if ! $python -m pip --version >/dev/null 2>&1; then
    echo "setting up .venv"
    rm -rf .venv
    python3 -m venv .venv
fi
if ! $python -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    rm -rf .venv
    echo "minidiff needs Python 3.10 or newer; python3 here is $(python3 --version)" >&2
    exit 2
fi

# The constraints were taken with Python 3.11; some of these versions do not exist for 3.10.
pins="-c constraints.txt"
$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || pins=""

# uv installs several times faster than pip; without it pip does the same. Compiled once here, torch
# is imported in two seconds; where Python may not write bytecode later, it would be nine every time.
install="$python -m pip --disable-pip-version-check install --quiet $pins"
$install uv || true
if $python -m uv --version >/dev/null 2>&1; then
    install="$python -m uv pip install --compile-bytecode --quiet --python $python $pins"
fi
$install -e ".[$extra]"

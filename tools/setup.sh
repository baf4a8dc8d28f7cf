#!/usr/bin/env bash
# Create the virtual environment and install Counterpoint with everything it can use.
# Called by `make setup`; plain pip, so that pip's own configuration decides where packages come from.
set -euo pipefail

VENV=${VENV:-.venv}
PYTHON=${PYTHON:-python3}

fail() {
    printf 'make setup: %s\n' "$@" >&2
    exit 1
}

# 1. An interpreter that is new enough.
suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
if ! suits "$PYTHON"; then
    for other in python3.13 python3.12 python3.11; do
        if suits "$other"; then PYTHON=$other && break; fi
    done
fi
suits "$PYTHON" || fail "needs Python 3.11 or newer, '$PYTHON' is $("$PYTHON" --version 2>&1 || echo missing)." \
    "Debian or Ubuntu: sudo apt-get install python3 python3-venv; or name one: make setup PYTHON=/path/to/python3.12"

# 2. A virtual environment.
if [ ! -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "make setup: creating $VENV with $("$PYTHON" --version)"
    "$PYTHON" -m venv "$VENV" >/dev/null 2>&1 || fail "'$PYTHON -m venv $VENV' failed; the venv module is missing." \
        "Debian or Ubuntu: sudo apt-get install python3-venv; then run make setup again."
fi

# 3. Packages; torch first, so that nothing else chooses its version.
quiet=()
[ -t 1 ] || quiet=(-qq) # a log wants errors alone, a person wants to see that it moves
pip_install() { "$VENV/bin/python" -m pip --disable-pip-version-check ${quiet[@]+"${quiet[@]}"} install "$@"; }
echo "make setup: installing packages (a few minutes the first time)"
pip_install "torch==2.13.0" || fail "pip could not install torch==2.13.0; its message is above." \
    "A CPU build is enough; see pytorch.org for the index of your machine and set it in pip's configuration."
pip_install --editable ".[all,dev]" || fail "pip could not install the packages of pyproject.toml; its message is above."

# 4. Rendering without a screen: wanted for cameras and videos, not for anything else.
if [ "$(uname -s)" = Linux ] && ! "$VENV/bin/python" -c 'import ctypes; ctypes.CDLL("libEGL.so.1")' 2>/dev/null; then
    echo "make setup: note: libEGL is missing, so cameras and videos will not render." >&2
    echo "  Debian or Ubuntu: sudo apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri" >&2
fi
echo "make setup: done; try $VENV/bin/counterpoint --help"

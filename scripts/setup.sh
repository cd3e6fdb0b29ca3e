#!/usr/bin/env bash
# Makes .venv and installs what a target needs: `run` (demo and nodes, no torch) or `all` (training and tests too).
# Does nothing when that has been done for the present lock file and pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}

say() { printf '\033[1m[setup]\033[0m %s\n' "$*" >&2; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.10; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' && { echo "$candidate"; return; }
    done
    die "needs Python 3.10, 3.11 or 3.12; install one, or name it: make PYTHON=/path/to/python setup"
}

# Libraries that pip cannot bring: software OpenGL for the cameras, and venv where the distribution splits it off.
system_packages() {
    local python=$1 missing=()
    ldconfig -p | grep -q 'libEGL\.so\.1' || missing+=(libegl1)
    ldconfig -p | grep -q 'libGL\.so\.1' || missing+=(libgl1)
    ldconfig -p | grep -q 'libEGL_mesa' || missing+=(libegl-mesa0)
    find /usr/lib -name 'swrast_dri.so' -o -name 'libgallium*.so' 2>/dev/null | grep -q . || missing+=(libgl1-mesa-dri)
    "$python" -c 'import ensurepip' 2>/dev/null || missing+=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv")
    [ ${#missing[@]} -eq 0 ] && return
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "these system packages are missing: ${missing[*]}; install them as root"
        root=(sudo)
    fi
    command -v apt-get >/dev/null || die "these system packages are missing: ${missing[*]} (Debian names); install their like"
    say "installing system packages: ${missing[*]}"
    "${root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

stamp=.venv/.wbvla-$what
key=$(cat pyproject.toml requirements/*.lock scripts/setup.sh | sha256sum | cut -d' ' -f1)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ] && exit 0

python=$(find_python)
system_packages "$python"
[ -x .venv/bin/python ] || { say "making .venv with $("$python" --version)"; "$python" -m venv .venv; }
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }

say "installing Python packages ($what); the first time takes some minutes"
extras=$([ "$what" = all ] && echo '[train,dev,view]' || true)
if .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    locks=(-r requirements/run.lock)
    [ "$what" = all ] && locks+=(-r requirements/train.lock)
    pip install "${locks[@]}"
    pip install --no-deps -e .
else
    # The locked numpy and its like have left Python 3.10; there the lower bounds of pyproject.toml decide.
    pip install -e ".$extras"
fi
[ "$what" = all ] && echo "$key" > .venv/.wbvla-run
.venv/bin/python embedded/install_path.py
echo "$key" > "$stamp"
say "ready"

# Sourced by the scripts beside it, with $self naming one of them: $root, $venv and ensure_venv.
# When nothing changed this costs one `cd`, one `pwd` and one `cmp`: no Python, no pip.

root=$(CDPATH='' cd -P -- "${self%/*}/.." && pwd -P)
venv=$root/.venv

# ensure_venv EXTRA: make .venv hold what pyproject.toml asks for now; EXTRA is base, dev or bench.
ensure_venv() {
    ! is_current "$1" || return 0
    python=$(find_python) || {
        echo "p2psync needs Python 3.11 or newer with its venv module, and found none:" \
            "install it (on Debian and Ubuntu: apt install python3-venv), then run this again" >&2
        exit 1
    }
    "$python" "$root/scripts/make_venv.py" "$root" "$1"
}

# The stamp of an extra is the pyproject.toml it was installed from; `root` is the place the environment was made for.
is_current() {
    made_for=
    { read -r made_for <"$venv/made-from/root"; } 2>/dev/null || return 1
    [ "$made_for" = "$root" ] && [ -x "$venv/bin/python" ] && cmp -s "$root/pyproject.toml" "$venv/made-from/$1"
}

# A version manager's shims exist for versions that are not there: only running one tells.
find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

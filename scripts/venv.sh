# Sourced, from the root of the repository, by scripts/quickstart, scripts/test and .ci/run:
#     prepare_venv EXTRA...     makes .venv if it is missing and installs distdyn[EXTRA,...] into it
# The environment variable PYTHON names the interpreter to make it with.

fail() {
    printf 'distdyn: %s\n' "$*" >&2
    exit 1
}

# Prints the path of the first Python that is new enough and can make environments.
find_python() {
    local candidate version found=""
    local candidates=(python3.13 python3.12 python3.11 python3 python)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        # A name may exist and not run (a version manager's shim), so each one is asked.
        if ! version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then
            [ -z "${PYTHON:-}" ] || found+=" $candidate does not run;"
        elif ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            found+=" $candidate is $version;"
        elif ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            found+=" $candidate is $version but cannot make environments (Debian: apt install python3-venv);"
        else
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed. Found:${found:- no Python at all;} install one, or say PYTHON=/path/to/python."
}

make_venv() {
    local python
    python=$(find_python) || exit 1
    echo "distdyn: making .venv with $python"
    "$python" -m venv .venv || fail "$python -m venv .venv failed (see above)."
}

# What an installation depends on: where it lies, with what it runs, and what it asked for.
fingerprint() {
    .venv/bin/python -c 'import hashlib, os, sys
facts = [os.getcwd(), sys.version, open("pyproject.toml").read()]
print(hashlib.sha256("\n".join(facts).encode()).hexdigest())'
}

prepare_venv() {
    [ -x .venv/bin/python ] || make_venv
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "the Python of .venv does not run or is older than 3.11. Remove .venv and try again."
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null ||
        fail "the environment .venv has no pip. Remove .venv and try again."

    # The stamp holds the fingerprint and the extras that are installed already; they add up.
    local stamp=.venv/distdyn-installed print have="" want=""
    print=$(fingerprint)
    [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$print" ] && have=$(tail -n 1 "$stamp")
    local extra missing=no
    for extra in "$@"; do
        [[ " $have " == *" $extra "* ]] || missing=yes
    done
    [ "$missing" = yes ] || return 0

    want=$(printf '%s\n' $have "$@" | sort -u | tr '\n' ' ')
    want=${want% }
    echo "distdyn: installing distdyn[${want// /,}] and what it needs into .venv (about 1 GB, a few minutes the first time)"
    rm -f "$stamp"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[${want// /,}]" ||
        fail "pip could not install distdyn (see above). It needs a package index and about 1 GB of disk."
    printf '%s\n%s\n' "$print" "$want" >"$stamp"
}

# Sourced by the scripts beside it: makes .venv with the project in it, once.
# environment [dev]: what `codeyard` needs, or what its development needs.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') dim=$(printf '\033[2m') red=$(printf '\033[31m') plain=$(printf '\033[0m')
else
    bold='' dim='' red='' plain=''
fi

say() { printf '%s\n' "${bold}$*${plain}"; }
die() { # [code=N] die WHAT [HOW TO GO ON]...
    # shellcheck disable=SC2154 # set by the caller, or not
    printf '%s\n' "${red}error:${plain} $1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit "${code:-3}"
}

environment() {
    # Made anew when what the project needs has changed, and only then: the sources are used from where they are.
    made_for=$(cksum pyproject.toml)
    for done_before in ".venv/.made" ".venv/.made-dev"; do
        [ "$done_before" = .venv/.made ] && [ "${1:-}" = dev ] && continue
        if [ "$(cat "$done_before" 2>/dev/null)" = "$made_for" ] && .venv/bin/python -c 'import codeyard' 2>/dev/null; then
            return
        fi
    done
    python=$(newest_python)
    if ! .venv/bin/python -c '' 2>/dev/null; then
        say "Making .venv with $("$python" --version)"
        [ ! -e .venv/pyvenv.cfg ] || rm -rf .venv
        "$python" -m venv .venv || die "$python cannot make .venv in $PWD." "See the lines above; is the disk full?"
    fi
    say "Installing ${1:+what development needs }into .venv (once; some tens of seconds)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${1:+[$1]}" ||
        die "pip could not install the project." "It needs to reach PyPI, or the index that PIP_INDEX_URL names."
    printf '%s\n' "$made_for" >".venv/.made${1:+-$1}"
}

newest_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        "$candidate" -c 'import ensurepip, venv' 2>/dev/null ||
            die "$candidate cannot make virtual environments." "On Debian and Ubuntu: apt-get install python3-venv"
        echo "$candidate"
        return
    done
    found=$(python3 --version 2>/dev/null) || found="there is no python3"
    die "Python 3.11 or newer is needed; here, $found." \
        "On Debian 12, Ubuntu 24.04 and newer: apt-get install python3 python3-venv" \
        "Elsewhere install one, and name it: PYTHON=/path/to/python3.12 $0"
}

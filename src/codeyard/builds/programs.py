"""The programs that a build finds at the end of its PATH (reference 1.11): shell, find, awk and sha256sum only."""

from pathlib import Path

# A glob as CodeBuild has it: `*` and `?` stay within a directory, `**` does not. Files only, sorted, relative to here.
_MATCHING = r"""
matching() {
    find . -type f 2>/dev/null | sed 's|^\./||' | PATTERNS=$1 awk '
        function expression(glob,    out, i, c) {
            sub(/^\.\//, "", glob)
            out = "^"
            for (i = 1; i <= length(glob); i++) {
                c = substr(glob, i, 1)
                if (substr(glob, i, 3) == "**/") { out = out "(.*/)?"; i += 2 }
                else if (substr(glob, i, 2) == "**") { out = out ".*"; i += 1 }
                else if (c == "*") out = out "[^/]*"
                else if (c == "?") out = out "[^/]"
                else if (index("][.+(){}|^$\\", c)) out = out "\\" c
                else out = out c
            }
            return out "$"
        }
        BEGIN {
            count = split(ENVIRON["PATTERNS"], globs, "\n")
            for (g = 1; g <= count; g++) wanted[g] = expression(globs[g])
        }
        { for (g = 1; g <= count; g++) if ($0 ~ wanted[g]) { print; next } }' | LC_ALL=C sort
}
lines() { for line in "$@"; do printf '%s\n' "$line"; done; }
"""

_GLOB_SEARCH = (
    r"""#!/bin/sh
# codebuild-glob-search 'pattern' ['pattern' ...]: the files that match, a line each.
[ $# -gt 0 ] || { echo "usage: codebuild-glob-search 'pattern' ['pattern' ...]" >&2; exit 2; }
"""
    + _MATCHING
    + r"""
found=$(matching "$(lines "$@")")
[ -n "$found" ] || { echo "No files found for: $*" >&2; exit 0; }
printf '%s\n' "$found"
"""
)

_HASH_FILES = (
    r"""#!/bin/sh
# codebuild-hash-files 'glob' ['glob' ...]: one SHA-256 over the names and contents of the files that match.
[ $# -gt 0 ] || { echo "usage: codebuild-hash-files 'glob' ['glob' ...]" >&2; exit 2; }
cd "$CODEBUILD_SRC_DIR" || exit 1
"""
    + _MATCHING
    + r"""
matching "$(lines "$@")" | while IFS= read -r file; do
    sha256sum -- "$file" || exit 1
done | sha256sum | cut -d ' ' -f 1
"""
)

_TESTS_RUN = r"""#!/bin/sh
# codebuild-tests-run --test-command CMD --files-search CMD [--sharding-strategy equal-distribution|stability]
# Runs this shard's part of the tests; a build that is no shard runs all of them.
usage() {
    echo "usage: codebuild-tests-run --test-command CMD --files-search CMD [--sharding-strategy NAME]" >&2
    exit 2
}
strategy=equal-distribution
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || usage
    case $1 in
        --test-command) command=$2 ;;
        --files-search) search=$2 ;;
        --sharding-strategy) strategy=$2 ;;
        *) usage ;;
    esac
    shift 2
done
[ -n "$command" ] && [ -n "$search" ] || usage
case $strategy in equal-distribution | stability) ;; *) usage ;; esac
files=$(eval "$search") || exit 1
files=$(printf '%s\n' "$files" | LC_ALL=C sort -u | sed '/^$/d')
total=${CODEBUILD_FANOUT_SHARD_TOTAL:-1} index=${CODEBUILD_FANOUT_SHARD_INDEX:-0}
if [ "$strategy" = equal-distribution ]; then
    shard=$(printf '%s\n' "$files" | awk -v total="$total" -v index_="$index" '
        { file[NR] = $0 }
        END {
            size = int(NR / total); extra = NR % total
            first = index_ * size + (index_ < extra ? index_ : extra)
            for (i = first + 1; i <= first + size + (index_ < extra); i++) print file[i]
        }')
else
    # Rendezvous hashing: each file goes to the shard that scores highest for it, so one more file moves no other.
    shard=$(printf '%s\n' "$files" | while IFS= read -r file; do
        best= winner=0 number=0
        while [ "$number" -lt "$total" ]; do
            score=$(printf '%s/%s' "$number" "$file" | sha256sum | cut -c 1-15)
            higher=$(printf '%s\n%s\n' "$best" "$score" | LC_ALL=C sort | tail -n 1)
            if [ "$higher" = "$score" ]; then
                best=$score winner=$number
            fi
            number=$((number + 1))
        done
        [ "$winner" -ne "$index" ] || printf '%s\n' "$file"
    done)
fi
[ -n "$shard" ] || { echo "No test files for shard $index of $total."; exit 0; }
CODEBUILD_CURRENT_SHARD_FILES=$shard
export CODEBUILD_CURRENT_SHARD_FILES
case $command in
    *CODEBUILD_CURRENT_SHARD_FILES*) eval "$command" ;;
    *) eval "$command $(printf '%s\n' "$shard" | sed "s/'/'\\\\''/g; s/.*/'&'/" | tr '\n' ' ')" ;;
esac
"""

# Session debugging is not on: both do nothing then (reference 1.3).
_NOTHING = "#!/bin/sh\nexit 0\n"

PROGRAMS = {
    "codebuild-breakpoint": _NOTHING,
    "codebuild-resume": _NOTHING,
    "codebuild-glob-search": _GLOB_SEARCH,
    "codebuild-hash-files": _HASH_FILES,
    "codebuild-tests-run": _TESTS_RUN,
}


def write_programs(directory: Path) -> None:
    """Make them in `directory`, which the build sees read-only."""
    for name, text in PROGRAMS.items():
        _write(directory, name, text)


def write_python(directory: Path) -> None:
    """Make `python` there: a machine may have it as python3 only, as Debian does, and AWS's images have both names."""
    _write(directory, "python", '#!/bin/sh\nexec python3 "$@"\n')


def _write(directory: Path, name: str, text: str) -> None:
    staged = directory / f".{name}.new"
    staged.write_text(text)
    staged.chmod(0o755)
    staged.rename(directory / name)

"""The exact text that the shell of a sandbox is given for a command. Pure.

Each command is a shell of its own, and the state between commands is what an environment file keeps: the exported
variables and the working directory (reference 1.3). Functions, aliases, options, traps and jobs do not survive.
"""

from dataclasses import dataclass

STATE = "tmp/env.sh"  # below the build's writable tree


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are inside. `root` is what `/codebuild` is called there."""

    root: str
    source: str  # CODEBUILD_SRC_DIR

    @property
    def state(self) -> str:
        """The file that carries variables and directory from one command to the next; the first one makes it."""
        return f"{self.root}/output/{STATE}"

    @property
    def given(self) -> str:
        """The file with the variables that the build was started with."""
        return f"{self.root}/readonly/environment.sh"

    @property
    def initial(self) -> str:
        """What stands for the state before the first command."""
        return f"{self.root}/readonly/state.sh"


def quote(text: str) -> str:
    """`text` as one word of a POSIX shell, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def given_variables(variables: dict[str, str], place: Place) -> str:
    """A file that sets them, literally: `$PATH:/x` stays those seven characters (reference 1.4).

    Before them, PATH gets the programs that a build may call, at its end, as in AWS's images.
    """
    exports = "".join(f"export {name}={quote(value)}\n" for name, value in variables.items())
    return f'export PATH="$PATH":{quote(f"{place.root}/user/bin")}\n{exports}'


def initial_state(variables: dict[str, str], place: Place) -> str:
    """What stands for the state file before the first command. OLDPWD is as in AWS's builds (reference 1.3)."""
    return given_variables({**variables, "PWD": place.source, "OLDPWD": f"{place.root}/readonly"}, place)


def command(text: str, place: Place, *, succeeding: bool, last_exit: int) -> str:
    """Version 0.2: the command sees the state, and leaves it changed.

    Three lines before it, as AWS's agent has, so that a shell's complaint about its first line names line 4. The state
    is saved by a trap, which an early `exit` cannot pass by, and once more at the end, for a command that sets its own
    trap; the empty line keeps a closing backslash from eating that. No externals: PATH may be anything by now.
    """
    # In a subshell for its umask: a later command may run as another user, and must be able to write the file too.
    save = f"(umask 0; export PWD OLDPWD; export -p >|{quote(place.state)})"
    return (
        f"{_restore(place)}; codebuild_was=$OLDPWD; "
        f'cd "$PWD" 2>/dev/null || cd {quote(place.source)}; '
        "OLDPWD=$codebuild_was; unset codebuild_was codebuild_exit\n"
        f"export CODEBUILD_BUILD_SUCCEEDING={int(succeeding)} CODEBUILD_LAST_EXIT={last_exit}\n"
        f"set -a; trap {quote(f'{_untraced()}; {save}')} EXIT\n"
        f"{text}\n"
        "\n"
        f"{_untraced('codebuild_exit=$?; ')}; trap - EXIT; {save}; exit $codebuild_exit\n"
    )


def lone_command(text: str, place: Place, *, succeeding: bool, last_exit: int) -> str:
    """Version 0.1: a fresh shell for every command; nothing survives it (reference 1.3)."""
    return (
        f". {quote(place.given)}\n"
        f"export CODEBUILD_BUILD_SUCCEEDING={int(succeeding)} CODEBUILD_LAST_EXIT={last_exit}\n"
        f"cd {quote(place.source)}\n"
        f"{text}\n"
    )


def evaluation(expressions: tuple[str, ...], place: Place, into: str, *, shared: bool) -> str:
    """What the shell makes of each expression, with the state of now, into the file `into`, a NUL after each.

    For `$VAR` and `$(command)` in an artifact's name, a cache key and the like (reference 1.8, 1.9).
    """
    if shared:
        begin = f'{_restore(place)}; cd "$PWD" 2>/dev/null || cd {quote(place.source)}'
    else:
        begin = f". {quote(place.given)}; cd {quote(place.source)}"
    values = "".join(f"printf '%s\\0' \"{_inner(text)}\"\n" for text in expressions)
    # A build may have made a pipe there, and nobody would read what we write into it.
    return f"{begin}\n[ ! -p {quote(into)} ] || exit 1\n{{\n{values}}} >|{quote(into)}\n"


def _untraced(first: str = "") -> str:
    """Ends what `set -x` of the command began, without a trace: the output is its own. /dev/null may be gone."""
    return f"{{ {first}set +x; }} 2>&-"


def _restore(place: Place) -> str:
    state = quote(place.state)  # -f: a pipe would be waited for, a device read without an end
    return f"if [ -f {state} ] && [ -r {state} ]; then . {state}; else . {quote(place.initial)}; fi"


def _inner(text: str) -> str:
    """`text` for between double quotes. Quotes within a `$(…)` are the command's own and stay."""
    if "$(" in text or "`" in text:
        return text
    return text.replace('"', '\\"')

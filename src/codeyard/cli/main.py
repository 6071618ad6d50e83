"""The command line. Each command's module is imported when it is called, so that none pays for another's start."""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from codeyard import __version__
from codeyard.errors import CodeyardError, Fault, Misspelt

# Exit codes, the same for every command; docs/cli.md.
EXIT_FAILED = 1  # the build FAILED, TIMED_OUT or STOPPED
EXIT_WRONG = 2  # the request or the buildspec is wrong
EXIT_FAULT = 3  # our fault

# By what they are for: each command's module, and what it does.
_SECTIONS = {
    "On this machine, without a server": {
        "run": ("codeyard.cli.run", "Run a buildspec here, as CodeBuild would."),
        "validate": ("codeyard.cli.validate", "Check buildspecs: every mistake at once, each with its fix."),
        "schema": ("codeyard.cli.validate", "Print a JSON Schema of the buildspec, for editors."),
        "doctor": ("codeyard.cli.doctor", "Say what this machine can do, and how to get what is missing."),
        "secret": ("codeyard.cli.secret", "Keep parameters and secrets for builds in a local vault."),
        "runs": ("codeyard.cli.history", "List the builds that ran here."),
        "clean": ("codeyard.cli.history", "Remove old builds and what is stored of them."),
        "cache": ("codeyard.cli.cache", "Empty what builds keep for the next ones."),
    },
    "A server": {
        "up": ("codeyard.cli.up", "Serve AWS's APIs on this machine, run its builds and pipelines."),
        "serve": ("codeyard.cli.up", "Serve the API and the console only; workers build."),
        "worker": ("codeyard.cli.up", "Run builds for servers that share its database."),
        "env": ("codeyard.cli.up", 'Say how clients reach the server: eval "$(codeyard env)".'),
    },
    "What speaks to a server": {
        "projects": ("codeyard.cli.service", "List the server's projects."),
        "builds": ("codeyard.cli.service", "List the server's builds."),
        "start": ("codeyard.cli.service", "Start a build on the server."),
        "retry": ("codeyard.cli.service", "Start a build again."),
        "stop": ("codeyard.cli.service", "Stop builds."),
        "logs": ("codeyard.cli.service", "Print a build's log, or follow it."),
        "artifacts": ("codeyard.cli.service", "List or get what a build or a pipeline's execution made."),
        "pipelines": ("codeyard.cli.pipelines", "List the server's pipelines."),
        "pipeline": ("codeyard.cli.pipelines", "Make pipelines, start them, see how they stand, approve."),
        "objects": ("codeyard.cli.objects", "Put, get and list what lies in buckets."),
    },
    "Machines that are deployed to": {
        "agent": ("codeyard.cli.agent", "Deploy to this machine what a server says."),
        "agents": ("codeyard.cli.agent", "List and remove the machines that are deployed to."),
    },
}
_COMMANDS = {name: told for section in _SECTIONS.values() for name, told in section.items()}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                # As wide in each section as in that with the longest name.
                formatter.write_dl([(f"{name:<9}", about) for name, (_, about) in commands.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="codeyard")
def cli() -> None:
    """AWS CodeBuild, CodePipeline and CodeDeploy on machines you own."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line, and leave with the exit code that the errors' kinds give."""
    _wait_for_readers()
    try:
        code = cli.main(args=args, prog_name="codeyard", standalone_mode=False, color=_colours())
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_WRONG)
    except click.Abort:
        sys.exit(130)
    except CodeyardError as error:
        show_error(error)
        sys.exit(EXIT_FAULT if isinstance(error, Fault) else EXIT_WRONG)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read has left
        sys.exit(EXIT_FAILED)
    except OSError as error:
        show_error(_of_the_machine(error))
        sys.exit(EXIT_FAULT)
    except Exception:  # noqa: BLE001 - the edge: whatever it is, it is our fault and says so
        traceback.print_exc()
        click.echo("error: a bug in Codeyard; please report it with the lines above.", err=True)
        sys.exit(EXIT_FAULT)
    sys.exit(code if isinstance(code, int) else 0)


def _wait_for_readers() -> None:
    """Write all of the output: a pipe or terminal that another program (node, say) left non-blocking takes only what
    fits, and Python drops the rest without a word."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # None, closed, or not a file
            os.set_blocking(stream.fileno(), True)


def _colours() -> bool | None:
    """None: where there is a terminal. NO_COLOR takes them away whatever it is set to (no-color.org)."""
    return False if os.environ.get("NO_COLOR") else None


def _of_the_machine(error: OSError) -> Fault:
    where = f" ({error.filename})" if error.filename else ""
    fix = "See `codeyard doctor`."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "Make room there (`codeyard clean`), or set CODEYARD_HOME to a directory on another disk."
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
        fix = "Set CODEYARD_HOME to a directory that you can write to."
    return Fault("the machine", f"{error.strerror or error}{where}.", fix)


def show_error(error: CodeyardError) -> None:
    """What, why and how to fix it, on the standard error."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.what}", err=True, color=_colours())
    if isinstance(error, Misspelt):
        for mistake in error.mistakes:
            click.echo(f"  line {mistake.line}, column {mistake.column}: {mistake.what}. {mistake.fix}", err=True)
        return
    click.echo(f"  why: {error.why}", err=True)
    click.echo(f"  fix: {error.fix}", err=True)


if __name__ == "__main__":
    main()

"""A group of commands whose help has the whole first sentence of each: click's own cuts it off to fit on a line."""

import click

_WHOLE = 1000  # characters of a sentence


class Group(click.Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(_WHOLE)) for name, each in found if each is not None])

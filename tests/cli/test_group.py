"""What the help of groups of commands says of each."""

import pytest
from click.testing import CliRunner

from codeyard.cli.main import cli


@pytest.mark.parametrize("group", ["pipeline", "objects", "secret", "cache", "agent", "agents"])
def test_no_sentence_of_a_command_is_cut_off(group: str) -> None:
    _, commands, shown = CliRunner().invoke(cli, [group, "--help"]).output.partition("Commands:")

    assert commands
    assert "..." not in shown

"""What a build names must not pass for what we say."""

from tests.acceptance.harness import Yard

FORGED = "[Container] 2024 Phase complete: FORGED State: SUCCEEDED"


def test_a_name_makes_no_line_of_ours(yard: Yard) -> None:
    name = f"$(printf 'a\\n{FORGED}')"
    spec = {
        "phases": {
            "build": {
                "commands": [
                    f'ln -s /nowhere "{name}" && mkdir "b{name}" && touch "b{name}/c"',
                    f'echo "<" >"{name}.xml"',
                ]
            }
        },
        "artifacts": {"files": ["**/*"], "base-directory": "b*"},
        "reports": {"all": {"files": ["**/*"], "file-format": "JUNITXML"}},
    }
    result = yard.build(spec)
    ours = result.log.split("Entering phase POST_BUILD")[1].split("\n")

    assert result.status == "SUCCEEDED", result.contexts
    assert not [line for line in ours if line.startswith(FORGED)]
    assert [line for line in ours if "FORGED" in line]


def test_what_is_said_of_a_directory_moves_no_cursor(yard: Yard) -> None:
    yard.request({"phases": {"build": {"commands": ["true"]}}}, {"a\x1b[31m/.git": "gitdir: /nowhere\n"})
    ended = yard.cli()

    assert ended.returncode == 0, ended.stderr
    assert b"\x1b" not in ended.stderr

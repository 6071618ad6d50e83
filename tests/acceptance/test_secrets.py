"""Secrets: in the environment, and nowhere else (reference 10.4, promise 4)."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from codeyard.executors.docker_engine import Endpoint, Engine, whole
from codeyard.secrets import Secret
from codeyard.secrets.vault import Kind, Vault
from tests.acceptance.harness import PROJECT, Result, Yard, living, phases, text_of, wait_for, write_tree

PARAMETER = "p4ssw0rd-of-the-day"
SECRET = "s3cret with 'quotes' and $dollars"


@pytest.fixture
def kept(yard: Yard) -> Yard:
    vault = Vault(yard.state / "vault")
    vault.put(Kind.PARAMETER, "/app/parameter", Secret(PARAMETER))
    vault.put(Kind.SECRET, "app", Secret(json.dumps({"key": SECRET, "other": 7})))
    return yard


def _spec(**commands: list[str]) -> dict[str, object]:
    env = {"parameter-store": {"P": "/app/parameter"}, "secrets-manager": {"S": "app:key", "N": "app:other"}}
    return {"env": env, **phases(**commands)}


def _holders(yard: Yard, *places: Path) -> list[str]:
    """The files below that hold a secret in clear, or in base64."""
    needles = [PARAMETER, SECRET, base64.b64encode(PARAMETER.encode()).decode()]
    options = [word for needle in needles for word in ("-e", needle)]
    found = subprocess.run(["grep", "-rlF", *options, *map(str, places)], capture_output=True, text=True)
    return found.stdout.splitlines()


def _check(yard: Yard, ended: Result) -> None:
    assert _holders(yard, yard.state) == []
    assert PARAMETER not in json.dumps([event.fields() for event in yard.heard])


def test_they_are_in_the_environment_whole(kept: Yard) -> None:
    (kept.source).mkdir(parents=True)
    script = (
        f'[ "$P" = \'{PARAMETER[:8]}\'"{PARAMETER[8:]}" ] && [ ${{#S}} = {len(SECRET)} ] && [ $N = 7 ] && echo good'
    )
    ended = kept.build(_spec(build=[script]))

    assert ended.printed == ["good"], ended.log


def test_the_password_of_a_source_is_in_no_file_once_the_build_has_ended(yard: Yard) -> None:
    url = f"https://ann:{PARAMETER}@localhost:1/app.git"
    ended = yard.build(phases(build=["true"]), source=url)
    other = yard.build(phases(build=["true"]), secondary={"lib": url})

    assert [result.phases[-2] for result in (ended, other)] == [("DOWNLOAD_SOURCE", "FAILED")] * 2
    assert _holders(yard, yard.state) == []


def test_they_are_masked_wherever_they_are_printed(kept: Yard) -> None:
    ended = kept.build(
        _spec(
            build=[
                'echo "<$P> <$S>"',
                "printf '%s' \"${P%??????}\"; sleep 0.1; printf '%s\\n' \"${P#?????????????}\"",
                'printf %s "$P" | base64; printf "user:%s" "$P" | base64; echo "$S" >&2',
                'i=0; while [ $i -lt 2000 ]; do printf "%s" "$P"; i=$((i+1)); done; echo',
                "env",
            ]
        )
    )

    assert ended.printed[:2] == ["<***> <***>", "***"]
    assert "P=***" in ended.printed
    _check(kept, ended)


def test_they_are_masked_in_errors_events_and_the_result(kept: Yard) -> None:
    """A command, an artifact's name, an exported variable, a cache key and a report's name that hold one."""
    spec = {
        **_spec(build=[f"echo {PARAMETER}", "touch a"], post_build=[f"echo {PARAMETER}; false"]),
        "cache": {"paths": ["a"], "key": "$P"},
        "reports": {"x$P": {"files": ["none-$P"]}},
    }
    spec["env"]["exported-variables"] = ["P", "COPY"]  # type: ignore[index]
    spec["phases"]["build"]["commands"].append("COPY=$P; touch $P")  # type: ignore[index]
    ended = kept.build({**spec, "artifacts": {"files": ["a", "$P"]}}, cache=str(kept.root / "cache"))

    assert ended.status == "FAILED"
    assert PARAMETER not in ended.log
    assert PARAMETER not in json.dumps(ended.events)
    assert PARAMETER not in (ended.home / "result.json").read_text()
    assert PARAMETER not in json.dumps(ended.contexts)


def test_an_error_of_resolving_holds_none(kept: Yard) -> None:
    spec = {"env": {"parameter-store": {"A": "/app/parameter", "B": "/none"}}, **phases(build=["true"])}
    ended = kept.build(spec)
    code, message = ended.contexts["DOWNLOAD_SOURCE"]

    assert (code, ended.exit_code) == ("Decrypted Variables Error", 2)
    assert "Parameter does not exist" in message
    _check(kept, ended)


def test_while_it_runs_no_command_line_and_no_container_s_settings_hold_one(kept: Yard) -> None:
    write_tree(kept.source, {"buildspec.yml": text_of(_spec(build=["touch there; sleep 1.5"]))})
    process = kept.start()
    wait_for(lambda: kept.homes() and list(kept.homes()[0].glob("codebuild/output/src*/src/there")))
    home = kept.homes()[0]
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in living(home.name)]
    settings = _inspected(kept, home)
    open_to_others = [path for path in _holding(home) if home.stat().st_mode & 0o077]
    code = process.wait()

    assert code == 0
    assert lines
    assert PARAMETER.encode() not in b"".join(lines)
    assert PARAMETER not in settings
    assert open_to_others == []


def _holding(home: Path) -> list[str]:
    return subprocess.run(["grep", "-rlF", PARAMETER, str(home)], capture_output=True, text=True).stdout.splitlines()


def _inspected(yard: Yard, home: Path) -> str:
    if yard.machine.name != "docker":
        return ""
    engine = Engine(Endpoint.find())
    return engine.exchange("GET", f"/containers/codeyard-{home.name}/json", None, whole).body.decode()


def test_nothing_of_them_is_on_disk_once_the_build_has_ended(kept: Yard) -> None:
    write_tree(kept.source, {"buildspec.yml": text_of(_spec(build=["echo $P; echo $P > f; exit 3"]))})
    ended = kept.cli("--env", "MINE=hide-me-from-the-disk")

    assert ended.returncode == 1
    assert _holders(kept, kept.state) == []
    assert subprocess.run(["grep", "-rl", "hide-me-from-the-disk", str(kept.state)]).returncode == 1
    assert list((kept.state / "runs").glob(f"*/artifacts/{PROJECT}")) == []


def test_a_stopped_build_leaves_none_either(kept: Yard) -> None:
    ended = kept.build(_spec(build=["echo $P; echo $P > f; sleep 60"]), stop_after=1.2)

    assert ended.status == "STOPPED"
    assert ended.printed == ["***"]
    _check(kept, ended)


def test_an_access_key_id_is_masked_though_nobody_named_it(yard: Yard) -> None:
    ended = yard.build(phases(build=["echo AKIA''IOSFODNN7EXAMPLE"]))

    assert ended.printed == ["***"]

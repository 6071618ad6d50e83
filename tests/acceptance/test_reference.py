"""The acceptance tests that the behaviour reference suggests, by their numbers there; each names the page it is from.

Not here: 16, 17, 20 and 22, which need the service.
"""

import re
from itertools import chain
from pathlib import Path

import pytest

from codeyard.secrets import Secret
from codeyard.secrets.vault import Kind, Vault
from tests.acceptance.harness import Yard, phases

ORDER = ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"]


def test_01_variables_last_in_version_0_2(yard: Yard) -> None:
    """Build specification reference, "version"."""
    ended = yard.build(phases(build=["X=1", 'echo "same $X"'], post_build=['echo "next $X"']))

    assert ended.printed == ["same 1", "next 1"]


def test_01_variables_do_not_last_in_version_0_1(yard: Yard) -> None:
    """Build specification reference, "version"."""
    ended = yard.build(
        {"version": 0.1, **phases(build=["X=1; cd /", 'echo "same ${X-none}"; pwd'], post_build=["echo ${X-none}"])}
    )

    assert ended.printed[0] == "same none"
    assert ended.printed[1].endswith("/src")
    assert ended.printed[2] == "none"


def test_02_the_directory_lasts_but_artifacts_start_from_the_source(yard: Yard) -> None:
    """Build specification reference, artifacts/files."""
    spec = {**phases(build=["cd sub", "touch made"], post_build=["pwd"]), "artifacts": {"files": ["sub/*"]}}
    ended = yard.build(spec, {"sub/kept": ""})

    assert ended.printed[0].endswith("/src/sub")
    assert set(ended.artifact()) == {"sub/kept", "sub/made"}


def test_03_a_failing_command_skips_the_rest_but_not_finally(yard: Yard) -> None:
    """Build specification reference, phases/*/finally."""
    ended = yard.build(phases(build={"commands": ["exit 3", "echo two", "echo three"], "finally": ["echo last"]}))

    assert ended.printed == ["last"]
    assert ("BUILD", "FAILED") in ended.phases


def test_04_a_failed_build_phase_still_runs_post_build_and_uploads(yard: Yard) -> None:
    """View build details, "Build phase transitions"."""
    spec = {
        **phases(build=["echo made > file", "false"], post_build=["echo ok=$CODEBUILD_BUILD_SUCCEEDING"]),
        "artifacts": {"files": ["file"]},
    }
    ended = yard.build(spec)

    assert ended.status == "FAILED"
    assert ended.printed == ["ok=0"]
    assert ended.artifact() == {"file": "made\n"}
    assert ended.phases[6:] == [
        ("BUILD", "FAILED"),
        ("POST_BUILD", "SUCCEEDED"),
        ("UPLOAD_ARTIFACTS", "SUCCEEDED"),
        ("FINALIZING", "SUCCEEDED"),
    ]


def test_05_a_failed_pre_build_ends_the_build(yard: Yard) -> None:
    """View build details, "Build phase transitions"."""
    ended = yard.build({**phases(pre_build=["false"], build=["echo no"]), "artifacts": {"files": ["**/*"]}})

    assert ended.names() == [*ORDER[:6], "FINALIZING"]
    assert ended.printed == []


def test_06_contexts_are_empty_and_present_on_success(yard: Yard) -> None:
    """BatchGetBuilds, BuildPhase; COMPLETED itself has only its start."""
    ended = yard.build(phases(build=["true"]))

    assert ended.contexts == dict.fromkeys([*ORDER[2:], "UPLOAD_ARTIFACTS", "FINALIZING"], ("", ""))


def test_07_values_of_variables_are_literal(yard: Yard) -> None:
    """Build specification reference, env/variables."""
    spec = {
        "env": {"variables": {"MINE": "$PATH:/x", "TICK": "`id` $(id) '\""}},
        **phases(build=['echo "$MINE $TICK"']),
    }
    ended = yard.build(spec)

    assert ended.printed == ["$PATH:/x `id` $(id) '\""]


def test_08_the_start_call_goes_over_the_buildspec_with_its_type(yard: Yard) -> None:
    """Environment variables in build environments, "precedence". The project's level: tests of builds.environment."""
    spec = {
        "env": {"variables": {"A": "spec", "B": "spec"}, "parameter-store": {"C": "/no/such/parameter"}},
        **phases(build=['echo "$A $B $C"']),
    }
    ended = yard.build(spec, variables={"A": "start", "C": "plain"})

    assert ended.printed == ["start spec plain"]


def test_09_no_artifact_at_all_fails_the_upload(yard: Yard) -> None:
    """Troubleshooting, "no matching artifact paths found"."""
    ended = yard.build({**phases(build=["true"]), "artifacts": {"files": ["none", "no/**/*"]}})

    assert ended.status == "FAILED"
    assert ended.contexts["UPLOAD_ARTIFACTS"] == ("CLIENT_ERROR", "no matching artifact paths found")
    assert ended.exit_code == 1


def test_09_a_base_directory_that_is_not_there_fails_the_upload(yard: Yard) -> None:
    """Troubleshooting, "no matching base directory path found"."""
    ended = yard.build({**phases(build=["true"]), "artifacts": {"files": ["**/*"], "base-directory": "dist"}})

    assert ended.contexts["UPLOAD_ARTIFACTS"] == ("CLIENT_ERROR", "no matching base directory path found for dist")


def test_10_one_pattern_without_a_match_is_skipped(yard: Yard) -> None:
    """Build specification reference, artifacts/files."""
    ended = yard.build({**phases(build=["touch a"]), "artifacts": {"files": ["none", "a"]}})

    assert ended.status == "SUCCEEDED"
    assert "Skipping invalid file path none" in ended.said
    assert set(ended.artifact()) == {"a"}


def test_11_a_base_directory_with_a_wildcard_merges_and_strips(yard: Yard) -> None:
    """Build specification reference, artifacts/base-directory."""
    files = {"my-dir1/a": "1", "my-dir2/sub/b": "2", "other/c": "3"}
    ended = yard.build({**phases(build=["true"]), "artifacts": {"files": ["**/*"], "base-directory": "my-dir*"}}, files)

    assert ended.artifact() == {"a": "1", "sub/b": "2"}


def test_12_the_name_is_a_folder_and_the_shell_evaluates_it(yard: Yard) -> None:
    """Build specification reference, artifacts/name; CreateProject, ProjectArtifacts.packaging NONE."""
    spec = {
        **phases(build=["touch a; export VERSION=7"]),
        "artifacts": {"files": ["a"], "name": "builds/v$VERSION-$(echo x)"},
    }
    ended = yard.build(spec)

    assert (ended.home / "artifacts/builds/v7-x/a").is_file()


def test_12_a_zip_gets_no_extension(yard: Yard) -> None:
    """CreateProject, ProjectArtifacts.packaging ZIP."""
    ended = yard.build({**phases(build=["touch a"]), "artifacts": {"files": ["a"], "name": "out"}}, zipped=True)

    assert (ended.home / "artifacts/out").read_bytes()[:2] == b"PK"


def test_12_the_name_slash_is_the_root(yard: Yard) -> None:
    """CreateProject, ProjectArtifacts.name."""
    ended = yard.build({**phases(build=["touch a"]), "artifacts": {"files": ["a"], "name": "/"}})

    assert (ended.home / "artifacts/a").is_file()


def _cached(key: str, *, paths: list[str] | None = None, fallback: list[str] | None = None) -> dict[str, object]:
    cache: dict[str, object] = {"paths": paths or ["kept/**/*"], "key": key}
    if fallback:
        cache["fallback-keys"] = fallback
    return {**phases(build=["cat kept/file || echo cold", "mkdir -p kept", 'echo "$V" > kept/file']), "cache": cache}


def test_13_a_cache_with_a_key_does_not_change(yard: Yard) -> None:
    """Amazon S3 caching."""
    runs = [
        yard.build(_cached("k-$(echo 1)"), cache=str(yard.root / "cache"), variables={"V": value}).printed[-1]
        for value in ("first", "second", "third")
    ]

    assert runs == ["cold", "first", "first"]


def test_13_a_fallback_key_is_a_prefix(yard: Yard) -> None:
    """Amazon S3 caching, fallback-keys."""
    cache = str(yard.root / "cache")
    yard.build(_cached("k-one"), cache=cache, variables={"V": "first"})
    ended = yard.build(_cached("k-two", fallback=["none-", "k-"]), cache=cache, variables={"V": "second"})

    assert ended.printed == ["first"]
    assert [(event["action"], event["hit"]) for event in ended.of_kind("cache_used")] == [
        ("restore", True),
        ("save", True),
    ]


def test_13_the_key_is_evaluated_once(yard: Yard) -> None:
    """Reference 6.2: the save uses what the sources gave, whatever the build has made of them."""
    spec = {**phases(build=["echo two > n"]), "cache": {"paths": ["n"], "key": "k-$(cat n)"}}
    ended = yard.build(spec, {"n": "one"}, cache=str(yard.root / "cache"))

    assert [event["key"] for event in ended.of_kind("cache_used")] == ["k-one", "k-one"]


def test_13_other_paths_miss(yard: Yard) -> None:
    """Amazon S3 caching, "cache version"."""
    cache = str(yard.root / "cache")
    yard.build(_cached("k"), cache=cache, variables={"V": "first"})
    ended = yard.build(_cached("k", paths=["kept/*"]), cache=cache, variables={"V": "second"})

    assert ended.printed[-1] == "cold"


def _suite(count: int) -> str:
    cases = [f'<testcase name="t{n}"/>' for n in range(count - 3)]
    cases += [f'<testcase name="bad{n}"><failure message="no"/></testcase>' for n in range(3)]
    return f"<testsuite>{''.join(cases)}</testsuite>"


def test_14_501_cases_are_counted_and_failures_kept(yard: Yard) -> None:
    """View test reports; the cut to 500 itself: tests of reports.model."""
    spec = {**phases(build=["true"]), "reports": {"unit": {"files": ["r.xml"]}}}
    ended = yard.build(spec, {"r.xml": _suite(501)})
    (report,) = ended.of_kind("report_made")

    assert (report["total"], report["counts"]["FAILED"], report["status"]) == (501, 3, "FAILED")
    assert report["failed"] == ["bad0", "bad1", "bad2"]
    assert ended.status == "SUCCEEDED"


def test_14_a_report_is_read_below_its_base_directory(yard: Yard) -> None:
    """Build specification reference, reports: base-directory, as for artifacts."""
    reports = {"unit": {"files": ["*.xml"], "base-directory": "out/reports"}}
    ended = yard.build({**phases(build=["true"]), "reports": reports}, {"out/reports/r.xml": _suite(4)})

    assert [(made["total"], made["status"]) for made in ended.of_kind("report_made")] == [(4, "FAILED")]


def test_15_a_report_s_name_gets_the_project_before_it_and_an_arn_stays(yard: Yard) -> None:
    """Test report naming."""
    arn = "arn:aws:codebuild:us-east-1:000000000000:report-group/shared"
    spec = {**phases(build=["true"]), "reports": {"unit": {"files": ["r.xml"]}, arn: {"files": ["r.xml"]}}}
    names = [
        event["name"]
        for project in ("one", "two")
        for event in yard.build(spec, {"r.xml": _suite(4)}, project=project).of_kind("report_made")
    ]

    assert names == ["one-unit", "shared", "two-unit", "shared"]


def test_15_a_sixth_report_group_is_left_out_and_the_log_says_so(yard: Yard) -> None:
    """Limits: at most 5 report groups."""
    spec = {**phases(build=["true"]), "reports": {f"g{number}": {"files": ["r.xml"]} for number in range(6)}}
    ended = yard.build(spec, {"r.xml": _suite(4)})

    assert len(ended.of_kind("report_made")) == 5
    assert "Skipping report group g5: a build has at most 5" in ended.said


def test_18_the_log_says_where_the_buildspec_is(yard: Yard) -> None:
    """Build specification reference, "file name and storage location"."""
    own = yard.build(phases(build=["true"]))
    other = yard.build(files={"ci/b.yml": "version: 0.2\nphases: {}\n"}, buildspec="ci/b.yml")
    inline = yard.build(buildspec="version: 0.2\nphases: {}\n")
    places = [re.sub(r"src\d+", "srcN", _location(ended.said)) for ended in (own, other, inline)]

    assert [place.partition("codebuild/")[2] for place in places] == [
        "output/srcN/src/buildspec.yml",
        "output/srcN/src/ci/b.yml",
        "readonly/buildspec.yml",
    ]


def _location(said: list[str]) -> str:
    return next(line for line in said if line.startswith("YAML location is ")).removeprefix("YAML location is ")


def test_18_a_missing_buildspec_fails_the_download(yard: Yard) -> None:
    """Troubleshooting, YAML_FILE_ERROR."""
    ended = yard.build(files={"other": ""})
    code, message = ended.contexts["DOWNLOAD_SOURCE"]

    assert ended.names() == [*ORDER[:4], "FINALIZING"]
    assert code == "YAML_FILE_ERROR"
    assert re.fullmatch(r"stat .*/codebuild/output/src\d+/src/buildspec.yml: no such file or directory", message)
    assert ended.exit_code == 2


SECRET = "correct-horse-battery"


def test_19_an_arn_with_a_json_key_is_understood(yard: Yard) -> None:
    """Build specification reference, env/secrets-manager."""
    Vault(yard.state / "vault").put(Kind.SECRET, "app/db", Secret(f'{{"password": "{SECRET}", "user": "me"}}'))
    arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:app/db-AbCdEf:password"
    spec = {"env": {"secrets-manager": {"PW": arn}}, **phases(build=['[ "${#PW}" = 21 ] && echo "<$PW>"'])}
    ended = yard.build(spec)

    assert ended.printed == ["<***>"]


def test_21_a_printed_secret_is_masked(yard: Yard) -> None:
    """Environment variables in build environments, "sensitive values"."""
    Vault(yard.state / "vault").put(Kind.PARAMETER, "/app/token", Secret(SECRET))
    spec = {"env": {"parameter-store": {"TOKEN": "/app/token"}}, **phases(build=['echo "a${TOKEN}b"'])}
    ended = yard.build(spec)

    assert ended.printed == ["a***b"]
    assert "Decrypting parameter store environment variables" in ended.said


@pytest.mark.parametrize("empty", [{"phases": {}}, {"phases": {"build": {"commands": []}}}])
def test_23_no_commands_at_all_is_a_success(yard: Yard, empty: dict[str, object]) -> None:
    """Build specification reference, phases."""
    ended = yard.build(empty)

    assert ended.status == "SUCCEEDED"
    assert f"Phases found in YAML: {len(empty['phases'])}" in ended.said  # type: ignore[arg-type]


def test_24_the_log_path_is_the_build_s_uuid(yard: Yard) -> None:
    """Environment variables in build environments, CODEBUILD_LOG_PATH; a prefix comes with the service's streams."""
    ended = yard.build(phases(build=["echo $CODEBUILD_LOG_PATH"]))

    assert ended.printed == [ended.home.name]


def test_25_tests_are_cut_into_shards_of_neighbours(yard: Yard) -> None:
    """Run tests in parallel, "equal-distribution": 12 files over 5 shards."""
    files = {f"t/{n:02}.test": "" for n in range(12)}
    run = "codebuild-tests-run --test-command 'echo shard' --files-search \"codebuild-glob-search 't/*.test'\""
    commands = [f"CODEBUILD_FANOUT_SHARD_TOTAL=5 CODEBUILD_FANOUT_SHARD_INDEX={n} {run}; true" for n in range(5)]
    # Set for the one command, as the service would set them for the build.
    spec = phases(build=[f"export {command.replace(' codebuild', '; codebuild', 1)}" for command in commands])
    shards = [line.split()[1:] for line in yard.build(spec, files).printed if line.startswith("shard")]

    assert [*chain(*shards)] == sorted(files)
    assert sorted(map(len, shards)) == [2, 2, 2, 3, 3]


def test_the_source_directory_is_not_written_to(yard: Yard, tmp_path: Path) -> None:
    """The builder works on a copy, whatever it does there."""
    ended = yard.build(phases(build=["rm -rf ./* .[!.]*; echo x > new"]), {"a": "1", ".hidden": "2"})

    assert ended.status == "SUCCEEDED"
    assert {path.name for path in yard.source.iterdir()} == {"a", ".hidden", "buildspec.yml"}

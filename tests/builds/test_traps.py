"""Each trap is named at its place, and ordinary buildspecs are left in peace."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.builds.traps import check
from tests.builds.test_buildspec import WHOLE

ORDINARY = sorted((Path(__file__).parents[1] / "golden" / "buildspecs" / "ordinary").glob("*.yml"))


def warnings(text: str) -> list[tuple[int, str]]:
    return [(mistake.line, mistake.what) for mistake in check(text)]


def build(*commands: str, version: str = "0.2", rest: str = "") -> str:
    """A buildspec whose build phase has these commands, each a literal block; the first command's text is on line 6."""
    listed = "".join("      - |\n" + "".join(f"        {line}\n" for line in text.split("\n")) for text in commands)
    return f"version: {version}\nphases:\n  build:\n    commands:\n{listed}{rest}"


def test_there_are_enough_ordinary_specs() -> None:
    assert len(ORDINARY) >= 18


@pytest.mark.parametrize("path", ORDINARY, ids=lambda path: path.stem)
def test_an_ordinary_buildspec_gets_no_warning(path: Path) -> None:
    assert check(path.read_text()) == ()


@pytest.mark.parametrize(
    ("command", "line", "what"),
    [
        ("npm test | tee test.log", 6, "`| tee test.log` hides a failure of `npm test`"),
        ("./scripts/test.sh 2>&1 | tee log", 6, "`| tee log` hides a failure of `./scripts/test.sh 2>&1`"),
        ("mvn verify | tail -50", 6, "`| tail -50` hides a failure of `mvn verify`"),
        ("npm test || true", 6, "`|| true` hides a failure of `npm test`"),
        ("pytest || echo failed", 6, "`|| echo failed` hides a failure of `pytest`"),
        ("cd app && make test || exit 0", 6, "`|| exit 0` hides a failure of `make test`"),
        ("npm test; true", 6, "A failure of `npm test` goes unnoticed"),
        ("npm test; echo done", 6, "A failure of `npm test` goes unnoticed"),
        ("cd app\nnpm ci\necho ready", 7, "A failure of `npm ci` goes unnoticed"),
        ("export A=1\ndocker build -t a .\ndocker push a", 7, "A failure of `docker build -t a .` goes unnoticed"),
        ("CI=1 yarn build && echo ok\ndate", 6, "A failure of `CI=1 yarn build` goes unnoticed"),
    ],
)
def test_a_masked_failure_is_a_trap(command: str, line: int, what: str) -> None:
    ((found_line, found),) = warnings(build(command))
    assert (found_line, found[: len(what)]) == (line, what)


@pytest.mark.parametrize(
    "command",
    [
        "set -o pipefail; npm test | tee log",
        "npm test | tee log; exit ${PIPESTATUS[0]}",
        "set -euo pipefail\nnpm ci\nnpm test\necho done",
        "set -e\nmake\ntrue",
        "npm ci && npm test && echo done",
        "npm test || exit 1",
        "npm test || { echo failed; exit 1; }",
        "npm ci || npm ci\necho done",
        "make\ncode=$?\necho $code\nexit $code",
        "npm start & sleep 1; npm test",
        "rm -f x || true",
        "docker pull a:cache || true",
        "grep -q x y || echo none",
        "echo $TOKEN | tee token.txt",
        "aws ecr get-login-password | docker login --username AWS --password-stdin x",
        "curl -sL https://example.com/setup | bash -",
        "if ! npm test; then\n  exit 1\nfi\necho ok",
        "cat <<EOF > x\nnpm test | tee log\nEOF\nmake",
        "cat package.json | jq .version | tee version",
        "cd app\npwd\nmake",
    ],
)
def test_a_failure_that_shows_is_none(command: str) -> None:
    assert warnings(build(command)) == []


@pytest.mark.parametrize(
    "publish",
    [
        "docker tag a:latest b:latest",
        "docker push $URI:latest",
        "aws s3 sync dist s3://bucket --delete",
        "aws s3 cp out.zip $BUCKET",
        "if true; then aws ecs update-service --service a; fi",
        "npm publish",
        "cdk deploy --all",
        "kubectl apply -f k8s",
    ],
)
def test_publishing_after_a_failed_build_is_a_trap(publish: str) -> None:
    rest = f"  post_build:\n    commands:\n      - echo after\n      - {publish}\n"

    ((line, what),) = warnings(build("make", rest=rest))

    assert (line, what.partition("` ")[2]) == (10, "runs even after a failed build: post_build is not skipped")


@pytest.mark.parametrize(
    "text",
    [
        build("make", rest="    on-failure: ABORT\n  post_build:\n    commands: [docker push a]\n"),
        build("echo nothing", rest="  post_build:\n    commands: [docker push a]\n"),
        build(
            "make",
            rest="  post_build:\n    commands:\n      - test $CODEBUILD_BUILD_SUCCEEDING = 1\n      - docker push a\n",
        ),
        build("make", rest="  post_build:\n    commands: [aws s3 cp s3://bucket/x ., docker images, git log]\n"),
    ],
)
def test_publishing_only_what_was_built_is_none(text: str) -> None:
    assert warnings(text) == []


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("DB_PASSWORD: hunter22", "DB_PASSWORD looks like a secret"),
        ("github_token: abcdef123456", "github_token looks like a secret"),
        ("KEY: AKIAIOSFODNN7EXAMPLE", "KEY looks like a secret"),
        ("URL: https://user:passw0rd@example.com/x", "URL looks like a secret"),
        ("PATH: $PATH:/opt/bin", "$PATH stays as it is written"),
        ("TAG: $(git rev-parse HEAD)", "$(git rev-parse HEAD) stays as it is written"),
        ("CODEBUILD_BUILD_ID: x", "CODEBUILD_BUILD_ID is a reserved name"),
    ],
)
def test_a_variable_that_is_not_what_it_seems_is_a_trap(variable: str, what: str) -> None:
    ((line, found),) = warnings(f"version: 0.2\nenv:\n  variables:\n    {variable}\nphases: {{}}\n")
    assert (line, found[: len(what)]) == (4, what)


@pytest.mark.parametrize(
    "variable",
    [
        "DB_PASSWORD: ''",
        "DB_PASSWORD_PARAMETER: /app/db",
        "SECRET: arn:aws:secretsmanager:r:1:secret:x",
        "TOKEN: /app/token",
        "SECRET_NAME: app/db",
        "MAX_TOKENS: 100",
        "PRICE: 5$",
        "PATTERN: ^a$",
        "URL: https://example.com:8080/x@y",
        "CODEBUILD_CONFIG_AUTO_DISCOVER: false",
    ],
)
def test_a_plain_variable_is_none(variable: str) -> None:
    assert warnings(f"version: 0.2\nenv:\n  variables:\n    {variable}\nphases: {{}}\n") == []


def test_a_secret_is_not_printed_again() -> None:
    text = "version: 0.2\nenv:\n  variables: {CODEBUILD_A: 1, MY_TOKEN: verysecret1}\nphases: {}\n"
    mistakes = check(text)

    assert len(mistakes) == 2
    assert "verysecret1" not in repr(mistakes)


def test_a_secret_of_a_batch_task_is_found() -> None:
    text = "version: 0.2\nbatch: {build-list: [{identifier: a, env: {variables: {API_KEY: abcdef}}}]}\n"
    assert [what[:7] for _, what in warnings(text)] == ["API_KEY"]


@pytest.mark.parametrize(
    ("block", "what"),
    [
        ("artifacts: {files: ../out/*}", "../out/* leads out of the source directory"),
        ("artifacts: {files: [a, 'dist/']}", "dist/ names a directory, and patterns match files"),
        ("artifacts: {files: 'a\\b'}", "a\\b cannot match: a backslash"),
        ("artifacts: {files: [a, '']}", "An empty pattern matches nothing"),
        ("artifacts: {files: a, exclude-paths: [/b]}", "/b excludes nothing"),
        ("artifacts: {files: a, base-directory: x/y*}", "x/y* matches nothing"),
        ("artifacts: {secondary-artifacts: {d: {files: d/}}}", "d/ names a directory"),
        ("reports: {unit: {files: out/}}", "out/ names a directory"),
        ("cache: {paths: a, fallback-keys: [b]}", "fallback-keys has no effect without key"),
        ("env: {exported-variables: [AWS_REGION]}", "AWS_REGION cannot be exported"),
        ("env: {exported-variables: [$TAG]}", "$TAG is not the name of a variable"),
        ("env: {shell: zsh}", "zsh is not among the shells"),
        ("env: {shell: powershell.exe}", "powershell.exe is a shell of Windows images"),
        ("artifcats: {files: a}", "Unknown key: artifcats"),
        ("artifacts: {files: a, type: zip}", "type is obsolete in version 0.2"),
        (
            "reports: {a: {files: x}, b: {files: x}, c: {files: x}, d: {files: x}, e: {files: x}, f: {files: x}}",
            "6 report groups",
        ),
    ],
)
def test_this_block_is_a_trap(block: str, what: str) -> None:
    ((line, found),) = warnings(f"version: 0.2\nphases: {{}}\n{block}\n")
    assert (line, found[: len(what)]) == (3, what)


def test_backslashes_are_right_in_a_spec_for_windows() -> None:
    text = "version: 0.2\nenv: {shell: cmd.exe}\nphases: {build: {commands: ['a | tee b']}}\nartifacts: {files: 'a\\b'}"
    assert [line for line, _ in warnings(text)] == [2]


def test_state_that_version_0_1_loses_is_a_trap() -> None:
    found = warnings(build("cd app", "cd app && make", "export A=1", version="0.1"))

    assert [line for line, _ in found] == [6, 10]
    assert "`cd app` has no effect" in found[0][1]


def test_options_that_only_last_for_a_command_are_a_trap() -> None:
    assert [line for line, _ in warnings(build("set -e", "make", "set -x"))] == [6]


def test_leaving_a_command_is_not_leaving_the_build() -> None:
    text = build("if [ -z $A ]; then exit 0; fi", "make\nexit 0", "[ -z $A ] && exit 0", "make", "test x && exit 0")
    assert [(line, what[:8]) for line, what in warnings(text) if "exit" in what] == [(6, "`exit 0`"), (11, "`exit 0`")]


def test_lines_that_yaml_joins_are_a_trap() -> None:
    text = (
        "version: 0.2\nphases:\n  build:\n    commands:\n      - docker run \\\n          -v a:b \\\n          image\n"
    )
    ((line, what),) = warnings(text)
    assert (line, what[:14]) == (5, "This backslash")

    text = "version: 0.2\nphases:\n  build:\n    commands:\n      - if true; then\n          make\n        fi\n"
    ((line, what),) = warnings(text)
    assert (line, what[:14]) == (5, "YAML joins the")


def test_lines_that_may_be_joined_are_none() -> None:
    text = "version: 0.2\nphases:\n  build:\n    commands:\n      - aws s3 cp a b\n          --recursive\n"
    assert warnings(text) == []


def test_commands_that_are_no_list_are_a_trap() -> None:
    text = "version: 0.2\nphases:\n  build:\n    commands: npm ci\n"
    assert warnings(text) == [(4, "commands is not a list: all of it is one command")]


@given(
    st.integers(0, len(WHOLE)), st.integers(0, 40), st.text(max_size=10) | st.text("|;&$(){}'\"\\ \n-<#", max_size=10)
)
@settings(max_examples=200, deadline=None)
def test_check_never_raises_and_always_helps(start: int, length: int, new: str) -> None:
    found = check(WHOLE[:start] + new + WHOLE[start + length :])
    assert all(mistake.what and mistake.fix for mistake in found)


@pytest.mark.timeout(20)
def test_a_long_hostile_spec_is_checked_quickly() -> None:
    lines = "".join(
        f'      - "{text * 3000}"\n'
        for text in ("$(", "; make | tee ", "a=b ", "npm --x ", "docker ", "eyJ-", "set -o ")
    )
    values = "".join(
        f"    V{n}: '{text * 3000}'\n" for n, text in enumerate(("$(", "://a:", "eyJ-", "-----BEGIN ", "AKIA"))
    )
    check(f"version: 0.2\nenv:\n  variables:\n{values}phases:\n  build:\n    commands:\n{lines}")

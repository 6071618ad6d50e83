"""Good specs mean what they say; each bad one is pointed at."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.artifacts import Selection
from codeyard.builds.batch_spec import (
    Batch,
    BatchTask,
    BuildFanout,
    BuildGraph,
    BuildList,
    BuildMatrix,
    TaskEnvironment,
)
from codeyard.builds.buildspec import (
    ArtifactsSpec,
    Buildspec,
    CacheAction,
    CacheSpec,
    EnvSpec,
    FailureAction,
    OnFailure,
    PhaseName,
    PhaseSpec,
    ProxySpec,
    ReportSpec,
    SpecKind,
    examine,
    parse,
    resolve_kind,
)
from codeyard.errors import Misspelt
from codeyard.reports.model import ReportFormat

WHOLE = """
version: 0.2
run-as: builder
env:
  shell: bash
  variables: {NAME: text, NUMBER: 1.10, FLAG: yes, HEX: 0x1F, NOTHING: , LITERAL: "$PATH:/x"}
  parameter-store: {LOGIN: /CodeBuild/login}
  secrets-manager:
    KEY: arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf:json-key
  exported-variables: [NAME, TAG]
  git-credential-helper: yes
proxy: {upload-artifacts: yes, logs: no}
phases:
  post_build:
    commands: [echo done]
  install:
    runtime-versions: {python: 3.12, nodejs: 20.x, ruby: "$RUBY"}
  build:
    run-as: root
    on-failure: Retry-5-.*timed out.*
    commands:
      - make
      - |
        one
        two
      - 42
    finally:
      - make clean
reports:
  unit:
    files: ['**/*.xml']
    base-directory: out
    discard-paths: true
    file-format: JunitXml
  arn:aws:codebuild:eu-west-1:123456789012:report-group/cover:
    files: cover.json
    file-format: SIMPLECOV
artifacts:
  files: ['**/*']
  name: out-$(date +%F)
  base-directory: dist
  exclude-paths: '**/.*'
  discard-paths: no
  enable-symlinks: yes
  s3-prefix: nightly
  secondary-artifacts:
    docs: {files: [a, b], name: docs}
cache:
  paths: ['/root/.m2/**/*']
  key: m2-$(codebuild-hash-files pom.xml)
  fallback-keys: [m2-, any-]
  action: save
"""


def test_a_whole_spec_is_read() -> None:
    spec = parse(WHOLE)

    assert spec == Buildspec(
        version="0.2",
        run_as="builder",
        env=EnvSpec(
            shell="bash",
            variables={
                "NAME": "text",
                "NUMBER": "1.10",
                "FLAG": "yes",
                "HEX": "0x1F",
                "NOTHING": "",
                "LITERAL": "$PATH:/x",
            },
            parameter_store={"LOGIN": "/CodeBuild/login"},
            secrets_manager={"KEY": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf:json-key"},
            exported_variables=("NAME", "TAG"),
            git_credential_helper=True,
        ),
        proxy=ProxySpec(upload_artifacts=True),
        phases=(
            PhaseSpec(PhaseName.INSTALL, runtime_versions={"python": "3.12", "nodejs": "20.x", "ruby": "$RUBY"}),
            PhaseSpec(
                PhaseName.BUILD,
                run_as="root",
                on_failure=OnFailure(FailureAction.RETRY, 5, ".*timed out.*"),
                commands=("make", "one\ntwo\n", "42"),
                finally_commands=("make clean",),
            ),
            PhaseSpec(PhaseName.POST_BUILD, commands=("echo done",)),
        ),
        reports=(
            ReportSpec("unit", Selection(("**/*.xml",), "out", discard_paths=True), ReportFormat.JUNITXML),
            ReportSpec(
                "arn:aws:codebuild:eu-west-1:123456789012:report-group/cover",
                Selection(("cover.json",)),
                ReportFormat.SIMPLECOV,
            ),
        ),
        artifacts=ArtifactsSpec(
            Selection(("**/*",), "dist", ("**/.*",), discard_paths=False, enable_symlinks=True),
            name="out-$(date +%F)",
            s3_prefix="nightly",
            secondary={"docs": ArtifactsSpec(Selection(("a", "b")), name="docs")},
        ),
        cache=CacheSpec(("/root/.m2/**/*",), "m2-$(codebuild-hash-files pom.xml)", ("m2-", "any-"), CacheAction.SAVE),
    )


def test_a_phase_that_is_not_written_has_no_commands() -> None:
    assert parse("version: 0.2\nphases: {}").phase(PhaseName.BUILD) == PhaseSpec(PhaseName.BUILD)


@pytest.mark.parametrize(
    "text",
    [
        "version: 0.2\nphases: {}",
        "version: 0.2\nphases:",
        "version: 0.2\nphases:\n  build:",
        "version: 0.2\nphases: {build: {commands: }}",
        "version: '0.2'\nphases: {}",
        "version: 0.20\nphases: {}",
        '{"version": "0.2", "phases": {"build": {"commands": ["make"]}}}',
        "\ufeffversion: 0.2\r\nphases:\r\n  build:\r\n    commands:\r\n      - make\r\n",
        "---\nversion: 0.2\nphases: {}\n...\n",
        "version: 0.2\nphases: {}\nunheard-of: {a: 1}",
        "version: 0.2\nphases: {build: {unheard-of: 1}}",
        "version: 0.2\nphases: {}\ncache:\n  paths:",
        "version: 0.2\nphases: {}\nartifacts:\n  secondary-artifacts: {a: {files: x}}",
        "version: 0.2\nphases: {}\nartifacts:\n  type: zip\n  files: x",
        "batch: {build-list: [{identifier: a}]}",
        "x-common: &c [make]\nversion: 0.2\nphases: {build: {commands: *c}}",
    ],
)
def test_this_is_accepted(text: str) -> None:
    parse(text)


def test_version_0_1_has_names_of_its_own() -> None:
    text = "version: 0.1\nenvironment_variables:\n  plaintext: {A: b}\nphases: {build: {commands: [x]}}"

    spec = parse(text)

    assert (spec.version, spec.env.variables) == ("0.1", {"A": "b"})


def test_anchors_and_merge_keys_work() -> None:
    text = """
x-variables: &v {A: 1, B: 1}
version: 0.2
env:
  variables:
    <<: *v
    B: 2
phases: {}
"""
    assert parse(text).env.variables == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("text", "kind", "count", "pattern"),
    [
        ("ABORT", "ABORT", 3, ".*"),
        ("continue", "CONTINUE", 3, ".*"),
        ("RETRY", "RETRY", 3, ".*"),
        ("RETRY-0", "RETRY", 0, ".*"),
        ("RETRY-100", "RETRY", 100, ".*"),
        ("Retry-3-.*connection timed out.*", "RETRY", 3, ".*connection timed out.*"),
        ("RETRY-.*", "RETRY", 3, ".*"),
        ("RETRY-5xx", "RETRY", 3, "5xx"),
        ("RETRY-a-b-", "RETRY", 3, "a-b-"),
        ("RETRY-2-3-x", "RETRY", 2, "3-x"),
    ],
)
def test_on_failure_is_read(text: str, kind: str, count: int, pattern: str) -> None:
    spec = parse(f"version: 0.2\nphases: {{build: {{on-failure: '{text}'}}}}")

    assert spec.phase(PhaseName.BUILD).on_failure == OnFailure(FailureAction(kind), count, pattern)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("arn:aws:s3:::bucket/key.yml", SpecKind.S3),
        ("arn:aws-cn:s3:::bucket/key", SpecKind.S3),
        ("buildspec.yml", SpecKind.PATH),
        ("ci/build spec.yml", SpecKind.PATH),
        ("version: 0.2", SpecKind.INLINE),
        ("version: 0.2\nphases: {}", SpecKind.INLINE),
        ('{"version": 0.2}', SpecKind.INLINE),
        ("[broken", SpecKind.PATH),
    ],
)
def test_text_path_and_object_are_told_apart(value: str, kind: SpecKind) -> None:
    assert resolve_kind(value) is kind


def test_a_batch_list_is_read() -> None:
    text = """
version: 0.2
batch:
  fast-fail: true
  build-list:
    - identifier: one
      env: {variables: {A: 1}, compute-type: BUILD_GENERAL1_SMALL, image: i, type: t, privileged-mode: yes}
      ignore-failure: yes
    - identifier: two
      buildspec: two.yml
      debug-session: true
      env: {fleet: f}
"""
    environment = TaskEnvironment("BUILD_GENERAL1_SMALL", None, "i", "t", True, {"A": "1"})
    one = BatchTask("one", None, environment, ignore_failure=True)
    two = BatchTask("two", "two.yml", TaskEnvironment(fleet="f"), debug_session=True)
    assert parse(text).batch == Batch(BuildList((one, two)), fast_fail=True)


def test_a_batch_graph_is_read() -> None:
    tasks = "[{identifier: a}, {identifier: b, depend-on: [a]}, {identifier: c, depend-on: [a, b]}]"
    spec = parse(f"version: 0.2\nbatch: {{build-graph: {tasks}}}")

    assert isinstance(spec.batch and spec.batch.form, BuildGraph)
    assert [task.depend_on for task in spec.batch.form.tasks] == [(), ("a",), ("a", "b")]  # type: ignore[union-attr]


def test_a_batch_matrix_is_read() -> None:
    text = """
version: 0.2
batch:
  build-matrix:
    static: {ignore-failure: yes, env: {type: LINUX_CONTAINER, privileged-mode: false}}
    dynamic:
      buildspec: [a.yml, b.yml]
      env:
        compute-type: [small]
        image: [x, y]
        variables: {V: [1, 2, 3], W: one}
"""
    form = parse(text).batch.form  # type: ignore[union-attr]
    assert form == BuildMatrix(
        ignore_failure=True,
        environment=TaskEnvironment(type="LINUX_CONTAINER", privileged_mode=False),
        buildspecs=("a.yml", "b.yml"),
        compute_types=("small",),
        images=("x", "y"),
        variables={"V": ("1", "2", "3"), "W": ("one",)},
    )


def test_a_batch_fanout_is_read() -> None:
    spec = parse("version: 0.2\nbatch: {build-fanout: {parallelism: 5, ignore-failure: yes}}")
    assert spec.batch == Batch(BuildFanout(5, ignore_failure=True))


# In each text, ¶ stands before the place that must be pointed at. `H` is a good head.
H = "version: 0.2\nphases: {}\n"
BAD = [
    ("¶", "The buildspec is empty"),
    ("¶# only a comment", "The buildspec is empty"),
    ("¶---\n", "The buildspec is empty"),
    ("¶just text", "Cannot unmarshal string to map"),
    ("¶- a\n- b", "Cannot unmarshal list to map"),
    ("¶phases: {}", "version is required"),
    ("version: ¶0.3\nphases: {}", "Invalid buildspec version: 0.3. Expecting: 0.1,0.2"),
    ("version: ¶[0.2]\nphases: {}", "Cannot unmarshal list to string"),
    ("¶version:\nphases: {}", "version is required"),
    ("¶version: 0.2", "phases is required"),
    ("version: 0.2\nphases: ¶build", "Cannot unmarshal string to map"),
    ("version: 0.2\nphases:\n  ¶- build", "Cannot unmarshal list to map"),
    (
        "version: 0.2\nphases:\n  ¶artifacts:\n    files: x",
        "Invalid buildspec phase name: artifacts. Expecting: build,install,post_build,pre_build",
    ),
    ("version: 0.2\nphases:\n  ¶biuld: {}", "Invalid buildspec phase name: biuld."),
    ("version: 0.2\nphases:\n  build: ¶make", "Cannot unmarshal string to map"),
    (
        "version: 0.2\nphases:\n  build:\n    ¶steps: [{uses: actions/checkout@v4}]",
        'unsupported field "steps" in buildspec. No GitHub token has been configured for your account',
    ),
    (
        "version: 0.2\nphases:\n  build:\n    commands:\n      - a\n      - ¶echo one: two",
        "Expected Commands[1] to be of string type: found subkeys instead at line 6, "
        "value of the key tag on line 5 might be empty",
    ),
    (
        "version: 0.2\nphases: {build: {commands: [¶{a: 1}]}}",
        "Expected Commands[0] to be of string type: found subkeys",
    ),
    ("version: 0.2\nphases: {build: {commands: [¶[a]]}}", "Expected Commands[0] to be of string type: found a list"),
    ("version: 0.2\nphases: {build: {commands: ¶{a: b}}}", "Expected Commands to be of string type: found subkeys"),
    ("version: 0.2\nphases: {build: {finally: [a, ¶{b: c}]}}", "Expected Finally[1] to be of string type"),
    ("version: 0.2\nphases: {build: {on-failure: ¶STOP}}", "Invalid on-failure: STOP"),
    ("version: 0.2\nphases: {build: {on-failure: ¶ABORT-1}}", "Invalid on-failure: ABORT-1"),
    ("version: 0.2\nphases: {build: {on-failure: ¶RETRY-}}", "Invalid on-failure: RETRY-"),
    ("version: 0.2\nphases: {build: {on-failure: ¶RETRY-3-}}", "Invalid on-failure: RETRY-3-"),
    ("version: 0.2\nphases: {build: {on-failure: ¶RETRY-101}}", "Invalid on-failure: 101 retries"),
    ("version: 0.2\nphases: {build: {on-failure: ¶'RETRY-2-(a'}}", "is not a regular expression"),
    ("version: 0.2\nphases: {build: {run-as: ¶'a b'}}", "Invalid user in run-as: a b"),
    ("version: 0.2\nphases: {build: {run-as: ¶''}}", "run-as is empty"),
    ("run-as: ¶-x\n" + H, "Invalid user in run-as: -x"),
    ("version: 0.2\nphases: {install: {¶runtime-versions: }}", "runtime-versions has no entry"),
    ("version: 0.2\nphases: {install: {¶runtime-versions: {}}}", "runtime-versions has no entry"),
    ("version: 0.2\nphases: {install: {runtime-versions: {¶python: }}}", "No version for runtime python"),
    ("version: 0.2\nphases: {install: {runtime-versions: ¶[python]}}", "Cannot unmarshal list to map"),
    (H + "env: ¶[A]", "Cannot unmarshal list to map"),
    (H + "env: {shell: ¶{a: b}}", "Cannot unmarshal map to string"),
    (H + "env:\n  variables:\n    A: ¶[1]", "Cannot unmarshal list to string"),
    (H + "env:\n  variables:\n    A:\n      ¶B: 1", "Cannot unmarshal map to string"),
    (H + "env:\n  variables:\n    ¶a-b: 1", "Invalid environment variable name: a-b"),
    (H + "env:\n  variables:\n    ¶1a: 1", "Invalid environment variable name: 1a"),
    (H + "env:\n  variables:\n    ¶- A=1", "Cannot unmarshal list to map"),
    (H + "env:\n  parameter-store:\n    ¶A:", "A refers to nothing"),
    (H + "env:\n  parameter-store:\n    A: ¶''", "A is empty"),
    (H + "env:\n  secrets-manager:\n    A: ¶name:key:stage:version", "Invalid Secrets Manager reference"),
    (H + "env:\n  secrets-manager:\n    A: ¶arn:aws:ssm:r:1:parameter/x", "Invalid Secrets Manager reference"),
    (H + "env:\n  exported-variables: [A, ¶{B: 1}]", "Expected ExportedVariables[1] to be of string type"),
    (H + "env:\n  git-credential-helper: ¶maybe", "Expected git-credential-helper to be yes or no: found maybe"),
    (H + "proxy: {logs: ¶2}", "Expected logs to be yes or no: found 2"),
    (H + "reports:\n  ¶unit:\n    base-directory: x", "files is required in unit"),
    (H + "reports: {unit: {files: x, file-format: ¶JUNIT}}", "Invalid report file-format: JUNIT. Expecting: CUCUMBER"),
    (H + "reports: ¶unit", "Cannot unmarshal string to map"),
    (H + "¶artifacts:\n  name: x", "files is required in artifacts"),
    (H + "¶artifacts:\n  files: []", "files is required in artifacts"),
    (H + "artifacts: ¶'**/*'", "Cannot unmarshal string to map"),
    (H + "artifacts:\n  files: [a, ¶[b]]", "Expected Files[1] to be of string type"),
    (H + "artifacts:\n  files: a\n  exclude-paths: [¶{b: c}]", "Expected ExcludePaths[0] to be of string type"),
    (H + "artifacts:\n  files: a\n  base-directory: ¶[x, y]", "Cannot unmarshal list to string"),
    (H + "artifacts:\n  files: a\n  discard-paths: ¶y", "Expected discard-paths to be yes or no: found y"),
    (H + "artifacts:\n  secondary-artifacts:\n    ¶../up: {files: a}", "Invalid artifact identifier: ../up"),
    (H + "artifacts:\n  secondary-artifacts:\n    ¶docs: {name: a}", "files is required in docs"),
    (H + "¶cache: {key: a}", "paths is required in cache"),
    (H + "cache: {paths: a, action: ¶both}", "Invalid cache action: both. Expecting: restore,save"),
    (H + "cache: {paths: a, key: k, ¶fallback-keys: [a, b, c, d, e, f]}", "6 fallback-keys. Expecting: at most 5"),
    ("version: 0.2\n¶batch: {fast-fail: yes}", "Expected one of build-list,build-graph,build-matrix,build-fanout"),
    (
        "version: 0.2\nbatch: {build-list: [{identifier: a}], ¶build-fanout: {parallelism: 2}}",
        "Expected one of build-list,build-graph,build-matrix,build-fanout in batch: found 2",
    ),
    ("version: 0.2\nbatch: {build-list: [¶{buildspec: a.yml}]}", "identifier is required"),
    ("version: 0.2\nbatch: {build-list: [{identifier: ¶a.b}]}", "Invalid identifier: a.b"),
    ("version: 0.2\nbatch: {build-list: [{identifier: a}, ¶{identifier: a}]}", "Duplicate identifier in batch: a"),
    ("version: 0.2\nbatch: {build-list: ¶a}", "Cannot unmarshal string to list"),
    ("version: 0.2\nbatch: {¶build-list: []}", "build-list has no tasks"),
    (
        "version: 0.2\nbatch: {build-list: [{identifier: a, env: {compute-type: x, ¶fleet: y}}]}",
        "compute-type and fleet cannot both be set on one task",
    ),
    ("version: 0.2\nbatch: {build-graph: [{identifier: a, depend-on: [¶b]}]}", "depend-on names no task"),
    ("version: 0.2\nbatch: {build-graph: [{identifier: a, depend-on: ¶[a]}]}", "wait for each other: a -> a"),
    (
        "version: 0.2\nbatch:\n  build-graph:\n    - identifier: a\n      depend-on: ¶[c]\n"
        "    - {identifier: b, depend-on: [a]}\n    - {identifier: c, depend-on: [b]}",
        "The tasks wait for each other: a -> c -> b -> a",
    ),
    ("version: 0.2\nbatch: {build-matrix: {¶dynamic: {}}}", "build-matrix has nothing to combine"),
    ("version: 0.2\nbatch: {build-matrix: {dynamic: {¶buildspec: []}}}", "buildspec has no values"),
    ("version: 0.2\nbatch: {¶build-fanout: {ignore-failure: yes}}", "parallelism is required in build-fanout"),
    ("version: 0.2\nbatch: {build-fanout: {parallelism: ¶0}}", "Invalid parallelism: 0"),
    ("version: 0.2\nbatch: {build-fanout: {parallelism: ¶many}}", "Invalid parallelism: many"),
    ("version: 0.2\nphases:\n  build: {}\n  ¶build: {}", "mapping key build already defined at line 3"),
    ("version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b¶: c", "mapping values are not allowed"),
    ("version: 0.2\nphases:\n¶\tbuild: {}", "found character that cannot start any token at line 3"),
    ("version: 0.2\nphases: {build: {commands: [a, b\n¶", "did not find expected ',' or ']'"),
    (H + "artifacts: {files: ¶*all}", "found undefined alias all"),
    (H + "artifacts: {files: ¶!Sub 'x'}", "tag !Sub at line 3"),
    (H + "¶---\nversion: 0.2", "a second document starts"),
    (H + 'env: {variables: {A: ¶"\\0"}}', "character U+0000 in a value"),
    (H + "env: {variables: {A: '¶\x07'}}", "control characters are not allowed at line 3"),
]


@pytest.mark.parametrize(("marked", "what"), BAD, ids=[what[:40] for _, what in BAD])
def test_this_is_refused_at_its_place(marked: str, what: str) -> None:
    before, _, after = marked.partition("¶")

    with pytest.raises(Misspelt) as caught:
        parse(before + after)

    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    text = (before + after).split("\n")[line - 1]
    places = [(m.line, m.column, m.text) for m in caught.value.mistakes if what in m.what]
    assert (line, column, text) in places, caught.value.mistakes
    assert all(mistake.fix for mistake in caught.value.mistakes)


def test_all_mistakes_are_told_at_once() -> None:
    text = "version: 7\nphases:\n  biuld: {}\n  build:\n    commands: [{a: 1}]\ncache: {}\n"

    with pytest.raises(Misspelt) as caught:
        parse(text)

    assert [(m.line, m.key) for m in caught.value.mistakes] == [
        (1, "version"),
        (3, "phases.biuld"),
        (5, "phases.build.commands[0]"),
        (6, "cache"),
    ]


def test_an_unknown_key_is_a_warning_with_the_nearest_one() -> None:
    warning, *others = examine("version: 0.2\nphases:\n  build:\n    comands: [x]\n").mistakes

    assert (warning.line, warning.column, warning.warning, warning.fix) == (4, 5, True, "Did you mean commands?")
    assert others == []


def test_runtime_versions_outside_install_is_a_warning() -> None:
    (warning,) = examine("version: 0.2\nphases: {build: {runtime-versions: {python: 3.12}}}").mistakes
    assert warning.warning
    assert "Unknown key: runtime-versions" in warning.what


def test_a_chain_of_a_hundred_tasks_is_no_cycle_and_more_are_refused() -> None:
    tasks = [{"identifier": "t0"}, *({"identifier": f"t{n}", "depend-on": [f"t{n - 1}"]} for n in range(1, 101))]
    parse(json.dumps({"version": "0.2", "batch": {"build-graph": tasks[:100]}}))

    with pytest.raises(Misspelt, match="More than 100 tasks"):
        parse(json.dumps({"version": "0.2", "batch": {"build-graph": tasks}}))


def test_a_matrix_of_too_many_builds_is_refused() -> None:
    variables = {f"V{n}": ["a", "b"] for n in range(7)}
    matrix = {"dynamic": {"env": {"variables": variables}}}

    with pytest.raises(Misspelt, match="makes 128 builds"):
        parse(json.dumps({"version": "0.2", "batch": {"build-matrix": matrix}}))


# --- properties ---

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
WORDS = TEXTS.filter(lambda text: text.strip() != "")
OPTIONAL = st.none() | WORDS
LISTS = st.lists(TEXTS, max_size=3).map(tuple)
IDENTIFIERS = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
USERS = st.none() | st.sampled_from(["root", "builder", "1000", "a.b-c"])
SELECTIONS = st.builds(
    Selection, LISTS.filter(bool), OPTIONAL, LISTS, discard_paths=st.booleans(), enable_symlinks=st.booleans()
)
ARTIFACTS = st.builds(ArtifactsSpec, SELECTIONS, OPTIONAL, st.none() | TEXTS, st.just({}))
ON_FAILURES = st.builds(
    OnFailure,
    st.just(FailureAction.RETRY),
    st.integers(0, 100),
    st.sampled_from([".*", "timed out", "a-b", "5 of [0-9]+"]),
) | st.builds(OnFailure, st.sampled_from([FailureAction.ABORT, FailureAction.CONTINUE]))


@st.composite
def phases(draw: st.DrawFn) -> tuple[PhaseSpec, ...]:
    chosen = draw(st.sets(st.sampled_from(PhaseName)))
    return tuple(
        PhaseSpec(
            name,
            draw(USERS),
            draw(st.none() | ON_FAILURES),
            draw(LISTS),
            draw(LISTS),
            draw(st.dictionaries(NAMES, WORDS, max_size=2)) if name is PhaseName.INSTALL else {},
        )
        for name in PhaseName
        if name in chosen
    )


ENVIRONMENTS = st.builds(
    TaskEnvironment,
    compute_type=OPTIONAL,
    image=OPTIONAL,
    type=OPTIONAL,
    privileged_mode=st.none() | st.booleans(),
    variables=st.dictionaries(NAMES, TEXTS, max_size=2),
)


@st.composite
def tasks(draw: st.DrawFn, *, graph: bool) -> tuple[BatchTask, ...]:
    names = draw(st.lists(IDENTIFIERS, min_size=1, max_size=4, unique=True))
    return tuple(
        BatchTask(
            name,
            draw(OPTIONAL),
            draw(ENVIRONMENTS),
            draw(st.booleans()),
            draw(st.booleans()),
            tuple(sorted(draw(st.sets(st.sampled_from(names[:n]))))) if graph and n else (),
        )
        for n, name in enumerate(names)
    )


VALUES = st.lists(TEXTS, min_size=1, max_size=2).map(tuple)
MATRICES = st.builds(
    BuildMatrix,
    st.booleans(),
    ENVIRONMENTS,
    VALUES,
    VALUES,
    VALUES,
    st.dictionaries(NAMES, VALUES, max_size=2),
)
BATCHES = st.builds(
    Batch,
    st.builds(BuildList, tasks(graph=False))
    | st.builds(BuildGraph, tasks(graph=True))
    | MATRICES
    | st.builds(BuildFanout, st.integers(1, 100), st.booleans()),
    st.booleans(),
)
SPECS = st.builds(
    Buildspec,
    version=st.sampled_from(["0.1", "0.2"]),
    run_as=USERS,
    env=st.builds(
        EnvSpec,
        OPTIONAL,
        st.dictionaries(NAMES, TEXTS, max_size=3),
        st.dictionaries(NAMES, WORDS, max_size=2),
        st.dictionaries(NAMES, st.sampled_from(["name", "a/b:key", "a::stage", "a:::id"]), max_size=2),
        LISTS,
        st.booleans(),
    ),
    proxy=st.builds(ProxySpec, st.booleans(), st.booleans()),
    phases=phases(),
    reports=st.lists(
        st.builds(
            ReportSpec,
            WORDS,
            st.builds(Selection, LISTS.filter(bool), OPTIONAL, discard_paths=st.booleans()),
            st.sampled_from(ReportFormat),
        ),
        max_size=2,
        unique_by=lambda report: report.name,
    ).map(tuple),
    artifacts=st.none()
    | st.builds(
        ArtifactsSpec, SELECTIONS, OPTIONAL, st.none() | TEXTS, st.dictionaries(IDENTIFIERS, ARTIFACTS, max_size=2)
    ),
    cache=st.none()
    | st.builds(
        CacheSpec, LISTS, OPTIONAL, st.lists(TEXTS, max_size=5).map(tuple), st.none() | st.sampled_from(CacheAction)
    ),
    batch=st.none() | BATCHES,
)


def render(spec: Buildspec) -> str:
    """The spec as JSON, which is YAML but for characters that JSON writes as a pair of escapes."""
    text = json.dumps(
        {
            "version": spec.version,
            "run-as": spec.run_as,
            "env": {
                "shell": spec.env.shell,
                "variables": spec.env.variables,
                "parameter-store": spec.env.parameter_store,
                "secrets-manager": spec.env.secrets_manager,
                "exported-variables": spec.env.exported_variables,
                "git-credential-helper": spec.env.git_credential_helper,
            },
            "proxy": {"upload-artifacts": spec.proxy.upload_artifacts, "logs": spec.proxy.logs},
            "phases": {phase.name: _phase(phase) for phase in spec.phases},
            "reports": {
                report.name: {
                    "files": report.selection.files,
                    "base-directory": report.selection.base_directory,
                    "discard-paths": report.selection.discard_paths,
                    "file-format": report.file_format,
                }
                for report in spec.reports
            },
            "artifacts": _artifacts(spec.artifacts) if spec.artifacts else None,
            "cache": {
                "paths": spec.cache.paths,
                "key": spec.cache.key,
                "fallback-keys": spec.cache.fallback_keys,
                "action": spec.cache.action,
            }
            if spec.cache
            else None,
            "batch": _batch(spec.batch) if spec.batch else None,
        }
    )
    pair = r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})"
    return re.sub(pair, lambda found: bytes.fromhex(found[1] + found[2]).decode("utf-16-be"), text)


def _phase(phase: PhaseSpec) -> dict[str, Any]:
    failure = phase.on_failure
    plain = failure and (failure.kind if failure.kind is not FailureAction.RETRY else None)
    retry = failure and f"RETRY-{failure.count}-{failure.pattern}"
    runtimes = {"runtime-versions": phase.runtime_versions} if phase.runtime_versions else {}
    return {
        "run-as": phase.run_as,
        "on-failure": plain or retry,
        "commands": phase.commands,
        "finally": phase.finally_commands,
        **runtimes,
    }


def _artifacts(spec: ArtifactsSpec) -> dict[str, Any]:
    secondary = {name: _artifacts(inner) for name, inner in spec.secondary.items()}
    return {
        "files": spec.selection.files,
        "base-directory": spec.selection.base_directory,
        "exclude-paths": spec.selection.exclude_paths,
        "discard-paths": spec.selection.discard_paths,
        "enable-symlinks": spec.selection.enable_symlinks,
        "name": spec.name,
        "s3-prefix": spec.s3_prefix,
        **({"secondary-artifacts": secondary} if secondary else {}),
    }


def _environment(environment: TaskEnvironment) -> dict[str, Any]:
    return {
        "compute-type": environment.compute_type,
        "image": environment.image,
        "type": environment.type,
        "privileged-mode": environment.privileged_mode,
        "variables": environment.variables,
    }


def _task(task: BatchTask) -> dict[str, Any]:
    return {
        "identifier": task.identifier,
        "buildspec": task.buildspec,
        "env": _environment(task.environment),
        "ignore-failure": task.ignore_failure,
        "debug-session": task.debug_session,
        **({"depend-on": task.depend_on} if task.depend_on else {}),
    }


def _batch(batch: Batch) -> dict[str, Any]:
    match batch.form:
        case BuildList(tasks):
            form: dict[str, Any] = {"build-list": [_task(task) for task in tasks]}
        case BuildGraph(tasks):
            form = {"build-graph": [_task(task) for task in tasks]}
        case BuildFanout(parallelism, ignore):
            form = {"build-fanout": {"parallelism": parallelism, "ignore-failure": ignore}}
        case BuildMatrix() as matrix:
            dynamic = {
                "buildspec": matrix.buildspecs,
                "env": {
                    "compute-type": matrix.compute_types,
                    "image": matrix.images,
                    "variables": matrix.variables,
                },
            }
            static = {"ignore-failure": matrix.ignore_failure, "env": _environment(matrix.environment)}
            form = {"build-matrix": {"static": static, "dynamic": dynamic}}
    return {"fast-fail": batch.fast_fail, **form}


@given(SPECS)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(spec: Buildspec) -> None:
    assert parse(render(spec)) == spec


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_spec_or_misspelt(text: str) -> None:
    _parse_or_misspelt(text)


@given(
    st.integers(0, len(WHOLE)),
    st.integers(0, 30),
    st.text("{}[]:-#&*!|>'\"%@`\n\t ,?<~\\0ab\u2028\x85", max_size=12),
)
@settings(max_examples=300, deadline=None)
def test_any_damage_leaves_a_spec_or_misspelt(start: int, length: int, new: str) -> None:
    _parse_or_misspelt(WHOLE[:start] + new + WHOLE[start + length :])


def _parse_or_misspelt(text: str) -> None:
    try:
        parse(text)
    except Misspelt as error:
        lines = len(re.split("[\n\r\x85\u2028\u2029]", text))
        told = [(0 <= mistake.line <= lines, mistake.what != "", mistake.fix != "") for mistake in error.mistakes]
        assert set(told) == {(True, True, True)}

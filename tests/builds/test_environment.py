"""Which variables a build sees, and which level wins (reference 3.1, 3.2)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.buildspec import Buildspec, EnvSpec
from codeyard.builds.environment import SourceFacts, builtin, merged, settable
from codeyard.builds.model import COMPUTE_TYPES, Settings, Variable, VariableType
from codeyard.ident import BuildId, Owner

RUN = "0b9b3c1e-6f5e-4d1c-9a39-0d4f1a2b3c4d"
SETTINGS = Settings(
    id=BuildId.parse(f"my-project:{RUN}"),
    owner=Owner("123456789012", "eu-west-1"),
    number=7,
    initiator="somebody",
    image="aws/codebuild/standard:7.0",
    submitted=datetime(2026, 1, 2, tzinfo=UTC),
    compute=COMPUTE_TYPES["BUILD_GENERAL1_SMALL"],
)
SOURCE = SourceFacts("/codebuild/output/src1/src", "https://example.com/r.git", "main", "a" * 40)
PLAIN, STORE, MANAGER = VariableType.PLAINTEXT, VariableType.PARAMETER_STORE, VariableType.SECRETS_MANAGER
VARIABLES = st.lists(
    st.builds(Variable, st.sampled_from("ABCD"), st.text(max_size=5), st.sampled_from(list(VariableType))), max_size=5
)


def _spec(**env: dict[str, str]) -> Buildspec:
    return Buildspec("0.2", env=EnvSpec(**env))  # type: ignore[arg-type]


def test_the_start_call_goes_over_the_project_over_the_buildspec_each_with_its_type() -> None:
    settings = replace(
        SETTINGS,
        overrides=(Variable("A", "start"), Variable("D", "new", MANAGER)),
        project_variables=(Variable("A", "project", STORE), Variable("B", "project", STORE)),
    )
    spec = _spec(variables={"A": "spec", "B": "spec", "C": "spec"})

    assert set(merged(settings, spec)) == {
        Variable("A", "start", PLAIN),
        Variable("B", "project", STORE),
        Variable("C", "spec", PLAIN),
        Variable("D", "new", MANAGER),
    }


def test_the_buildspec_s_three_kinds_become_types() -> None:
    spec = _spec(variables={"A": "1"}, parameter_store={"B": "/p"}, secrets_manager={"C": "s:k"})

    assert merged(SETTINGS, spec) == (Variable("A", "1"), Variable("B", "/p", STORE), Variable("C", "s:k", MANAGER))


@given(overrides=VARIABLES, project=VARIABLES)
def test_each_name_is_there_once_with_the_value_of_its_highest_level(
    overrides: list[Variable], project: list[Variable]
) -> None:
    settings = replace(SETTINGS, overrides=tuple(overrides), project_variables=tuple(project))
    found = merged(settings, _spec(variables={"A": "spec"}))
    expected = {each.name: each for each in (Variable("A", "spec"), *project, *overrides)}

    assert {each.name: each for each in found} == expected
    assert len(found) == len(expected)


def test_the_built_in_variables_have_aws_s_forms() -> None:
    found = builtin(SETTINGS, SOURCE, datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))

    assert found == {
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "CODEBUILD_CI": "true",
        "CODEBUILD_BUILD_ID": f"my-project:{RUN}",
        "CODEBUILD_BUILD_ARN": f"arn:aws:codebuild:eu-west-1:123456789012:build/my-project:{RUN}",
        "CODEBUILD_BUILD_NUMBER": "7",
        "CODEBUILD_BUILD_IMAGE": "aws/codebuild/standard:7.0",
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_BUILD_URL": "https://eu-west-1.console.aws.amazon.com/codebuild/home"
        f"?region=eu-west-1#/builds/my-project:{RUN}/view/new",
        "CODEBUILD_PROJECT_ARN": "arn:aws:codebuild:eu-west-1:123456789012:project/my-project",
        "CODEBUILD_INITIATOR": "somebody",
        "CODEBUILD_KMS_KEY_ID": "arn:aws:kms:eu-west-1:123456789012:alias/aws/s3",
        "CODEBUILD_LOG_PATH": RUN,
        "CODEBUILD_START_TIME": "1767323045678",
        "CODEBUILD_SRC_DIR": "/codebuild/output/src1/src",
        "CODEBUILD_SOURCE_REPO_URL": "https://example.com/r.git",
        "CODEBUILD_SOURCE_VERSION": "main",
        "CODEBUILD_RESOLVED_SOURCE_VERSION": "a" * 40,
    }


def test_without_a_commit_there_is_no_resolved_version() -> None:
    """Unset for S3 (reference 3.1)."""
    found = builtin(SETTINGS, replace(SOURCE, resolved=None), SETTINGS.submitted)

    assert "CODEBUILD_RESOLVED_SOURCE_VERSION" not in found


def test_secondary_sources_have_variables_of_their_own() -> None:
    source = replace(SOURCE, secondary={"lib": SourceFacts("/there", "url", "v1")})
    found = builtin(SETTINGS, source, SETTINGS.submitted)

    assert [found[f"CODEBUILD_{name}_lib"] for name in ("SRC_DIR", "SOURCE_REPO_URL", "SOURCE_VERSION")] == [
        *("/there", "url", "v1")
    ]


@pytest.mark.parametrize("name", ["A", "_", "a1_B", "_9"])
def test_what_a_shell_can_export(name: str) -> None:
    assert settable(name)


@pytest.mark.parametrize("name", ["", "1A", "a-b", "a b", "a\n", "é", "A=", "A;id"])
def test_what_a_shell_cannot_export(name: str) -> None:
    assert not settable(name)

"""Every operation of CodeBuild's model is decided: answered, or declined with the reason."""

from codeyard.aws import Service
from codeyard.builds.api_builds import BuildOperations
from codeyard.builds.api_credentials import CredentialOperations
from codeyard.builds.api_projects import ProjectOperations, SharingOperations
from codeyard.builds.declined import DECLINED
from tests.builds.projects import MODEL


def test_each_operation_is_answered_or_declined_and_none_is_both() -> None:
    classes = (BuildOperations, ProjectOperations, SharingOperations, CredentialOperations)
    service = Service("codebuild", tuple(object.__new__(each) for each in classes), {}, DECLINED)

    answered = set(service.operations())

    assert answered | set(DECLINED) == set(MODEL.operation_names)
    assert not answered & set(DECLINED)


def test_each_reason_is_a_sentence() -> None:
    assert all(reason[0].isupper() and reason.endswith(".") for reason in DECLINED.values())

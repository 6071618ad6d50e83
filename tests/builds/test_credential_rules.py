"""Which source credentials can be imported, and what a secret says that holds one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.builds.credential_rules import SERVERS, credential_arn, from_secret, imported, server_of
from codeyard.errors import Invalid
from codeyard.ident import Owner
from codeyard.secrets import Secret

SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:git-AbCdEf"
HIDDEN = "hunter2"


def token(**given: Any) -> dict[str, Any]:
    return {"token": HIDDEN, "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"} | given


def test_a_token_is_taken_and_not_shown() -> None:
    credential = imported(token())

    assert credential.token.reveal() == HIDDEN
    assert credential.resource is None
    assert HIDDEN not in repr(credential)


def test_a_secrets_arn_may_be_shown() -> None:
    assert imported(token(authType="SECRETS_MANAGER", token=SECRET)).resource == SECRET


def test_bitbucket_takes_a_user_and_an_app_password() -> None:
    credential = imported(token(serverType="BITBUCKET", authType="BASIC_AUTH", username="me"))

    assert credential.username == Secret("me")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (token(authType="OAUTH"), "OAUTH connection cannot be imported"),
        (token(authType="CODECONNECTIONS"), "no connections here"),
        (token(authType="BASIC_AUTH", username="me"), "is for serverType BITBUCKET"),
        (token(authType="BASIC_AUTH", serverType="BITBUCKET"), "requires a username"),
        (token(username="me"), "username is for authType BASIC_AUTH only"),
        (token(token=f"{HIDDEN}\nhost=evil"), "control character"),
        (token(token=HIDDEN * 1000), "too long"),
        (token(token=HIDDEN + "\ud800"), "control character"),
        (token(authType="SECRETS_MANAGER"), "is the ARN of a secret"),
        (token(authType="SECRETS_MANAGER", token=f"arn:aws:s3:::{HIDDEN}"), "is the ARN of a secret"),
    ],
)
def test_what_cannot_be_imported_is_refused_and_not_repeated(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        imported(given)

    assert refused.value.code == "InvalidInputException"
    assert HIDDEN not in refused.value.message


def test_a_secret_holds_a_token_for_one_type_of_server() -> None:
    text = json.dumps({"ServerType": "GITHUB", "AuthType": "PERSONAL_ACCESS_TOKEN", "Token": HIDDEN})

    assert from_secret(Secret(text), "GITHUB", SECRET).token == Secret(HIDDEN)


def test_a_secret_may_hold_a_user_and_a_password() -> None:
    text = json.dumps({"ServerType": "BITBUCKET", "AuthType": "BASIC_AUTH", "Token": HIDDEN, "Username": "me"})

    assert from_secret(Secret(text), "BITBUCKET", SECRET).username == Secret("me")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HIDDEN, "no JSON object"),
        (f'["{HIDDEN}"]', "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        (f'{{"ServerType": "GITHUB", "token": "{HIDDEN}"}}', "no Token"),
        (f'{{"ServerType": "GITHUB", "Token": "{HIDDEN}\\n"}}', "no Token, or one that git cannot be given"),
        (f'{{"ServerType": "GITLAB", "Token": "{HIDDEN}"}}', "does not say that its token is for GITHUB"),
        (f'{{"Token": "{HIDDEN}"}}', "does not say that its token is for GITHUB"),
        (f'{{"ServerType": "GITHUB", "Token": "{HIDDEN}", "AuthType": "BASIC_AUTH"}}', "no Username"),
    ],
)
def test_a_secret_of_another_form_is_explained_with_nothing_of_it(text: str, why: str) -> None:
    with pytest.raises(Invalid, match=why) as invalid:
        from_secret(Secret(text), "GITHUB", SECRET)

    assert HIDDEN not in str(invalid.value)


@given(st.sampled_from(SERVERS), st.sampled_from(["us-east-1", "eu-west-1"]))
def test_an_arn_leads_back_to_its_server_in_its_own_region_only(server: str, region: str) -> None:
    owner = Owner(region=region)

    assert server_of(owner, credential_arn(owner, server)) == server
    assert server_of(Owner("111111111111"), credential_arn(owner, server)) is None

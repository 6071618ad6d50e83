import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.pipelines.tags import checked
from codeyard.pipelines.webhooks import (
    Authentication,
    Filter,
    Webhook,
    from_json,
    is_authentic,
    is_wanted,
    parse,
    to_json,
    to_wire,
)
from codeyard.secrets import Secret

FILTERS = [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"}]
BODY = b'{"ref": "refs/heads/main"}'


def definition(authentication: str = "GITHUB_HMAC", **given: Any) -> dict[str, Any]:
    configuration = {"SecretToken": "hunter2"} if authentication == "GITHUB_HMAC" else {}
    return {
        "name": "site",
        "targetPipeline": "site",
        "targetAction": "Source",
        "filters": FILTERS,
        "authentication": authentication,
        "authenticationConfiguration": configuration,
    } | given


def signed(algorithm: str, key: str = "hunter2", body: bytes = BODY) -> str:
    return f"{algorithm}={hmac.new(key.encode(), body, algorithm).hexdigest()}"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (definition(authenticationConfiguration={}), "InvalidWebhookAuthenticationParametersException"),
        (
            definition(authenticationConfiguration={"SecretToken": "a", "AllowedIPRange": "10.0.0.0/8"}),
            "InvalidWebhookAuthenticationParametersException",
        ),
        (definition("IP"), "InvalidWebhookAuthenticationParametersException"),
        (
            definition("IP", authenticationConfiguration={"AllowedIPRange": "10.0.0.0"}),
            "InvalidWebhookAuthenticationParametersException",
        ),
        (
            definition("IP", authenticationConfiguration={"AllowedIPRange": "10.0.0.0/33"}),
            "InvalidWebhookAuthenticationParametersException",
        ),
        (
            definition("IP", authenticationConfiguration={"SecretToken": "a"}),
            "InvalidWebhookAuthenticationParametersException",
        ),
        (
            definition("UNAUTHENTICATED", authenticationConfiguration={"SecretToken": "a"}),
            "InvalidWebhookAuthenticationParametersException",
        ),
        (
            definition(authenticationConfiguration={"SecretToken": "\0"}),
            "InvalidWebhookAuthenticationParametersException",
        ),
        (definition(filters=[]), "ValidationException"),
        (definition(filters=FILTERS * 6), "ValidationException"),
        (definition(filters=[{"jsonPath": "$["}]), "InvalidWebhookFilterPatternException"),
        (definition(filters=[{"jsonPath": "$.a", "matchEquals": "\0"}]), "InvalidWebhookFilterPatternException"),
    ],
)
def test_what_is_no_webhook_is_refused_as_aws_does(given: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(given)

    assert refused.value.code == code
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize(
    "given",
    [
        definition(),
        definition("IP", authenticationConfiguration={"AllowedIPRange": "2001:db8::/32"}),
        definition("UNAUTHENTICATED", filters=[{"jsonPath": "$.a"}]),
    ],
)
def test_what_is_shown_of_a_webhook_is_what_was_put_but_for_its_secret(given: dict[str, Any]) -> None:
    webhook = parse(given)
    shown = to_wire(webhook)
    configuration = {"SecretToken": "****"} if webhook.token else given["authenticationConfiguration"]
    filters = [{"jsonPath": each["jsonPath"], "matchEquals": each.get("matchEquals")} for each in given["filters"]]

    assert shown == given | {"authenticationConfiguration": configuration, "filters": filters}
    assert "hunter2" not in repr(webhook)


@pytest.mark.parametrize(
    ("headers", "authentic"),
    [
        ({"x-hub-signature": signed("sha1")}, True),
        ({"x-hub-signature-256": signed("sha256")}, True),
        ({"x-hub-signature-256": signed("sha256"), "x-hub-signature": "sha1=0"}, True),
        ({"x-hub-signature-256": "sha256=0", "x-hub-signature": signed("sha1")}, False),
        ({"x-hub-signature-256": signed("sha1")}, False),
        ({"x-hub-signature": signed("sha1", key="other")}, False),
        ({"x-hub-signature": signed("sha1", body=b"{}")}, False),
        ({"x-hub-signature": signed("sha1").removeprefix("sha1=")}, False),
        ({"x-hub-signature": "sha1=\xe9"}, False),
        ({}, False),
    ],
)
def test_a_request_from_github_is_signed_with_the_secret(headers: dict[str, str], authentic: bool) -> None:
    assert is_authentic(parse(definition()), BODY, headers, "127.0.0.1") is authentic


@pytest.mark.parametrize(
    ("addresses", "client", "authentic"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.2.3/16", "10.1.255.255", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "2001:db8::1", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("0.0.0.0/0", "", False),
        ("0.0.0.0/0", "unknown", False),
    ],
)
def test_a_request_comes_from_the_addresses_that_are_allowed(addresses: str, client: str, authentic: bool) -> None:
    webhook = parse(definition("IP", authenticationConfiguration={"AllowedIPRange": addresses}))

    assert is_authentic(webhook, BODY, {}, client) is authentic


@pytest.mark.parametrize(
    ("path", "equals", "document", "wanted"),
    [
        ("$.ref", "refs/heads/{Branch}", {"ref": "refs/heads/main"}, True),
        ("$.ref", "refs/heads/{Branch}", {"ref": "refs/heads/dev"}, False),
        ("$.ref", "{Nothing}", {"ref": "{Nothing}"}, True),
        ("$.ref", "{Odd}", {"ref": "{Branch}"}, True),
        ("$.ref", "{Odd}", {"ref": "main"}, False),
        ("$.ref", None, {"ref": None}, True),
        ("$.ref", None, {}, False),
        ("$.a", "1", {"a": 1}, True),
        ("$.a", "1.5", {"a": 1.5}, True),
        ("$.a", "true", {"a": True}, True),
        ("$.a", "null", {"a": None}, False),
        ("$.a", "{}", {"a": {}}, False),
        ("$.a[*].b", "2", {"a": [{"b": "1"}, {"b": "2"}]}, True),
        ("$.a", "x", [], False),
    ],
)
def test_a_filter_fits_a_body(path: str, equals: str | None, document: Any, wanted: bool) -> None:
    configuration = {"Branch": "main", "Odd": "{Branch}"}

    assert is_wanted([Filter(path, equals)], document, configuration) is wanted


def test_all_filters_must_fit() -> None:
    fits, not_fits = Filter("$.a", "1"), Filter("$.b", "1")

    assert is_wanted([fits, fits], {"a": "1"}, {})
    assert not is_wanted([fits, not_fits], {"a": "1"}, {})


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([{"key": "aws:x", "value": ""}], "InvalidTagsException"),
        ([{"key": "a\0", "value": ""}], "InvalidTagsException"),
        ([{"key": str(number), "value": ""} for number in range(51)], "TooManyTagsException"),
    ],
)
def test_tags_that_may_not_be_are_refused(tags: list[dict[str, str]], code: str) -> None:
    with pytest.raises(Refused) as refused:
        checked(tags)

    assert refused.value.code == code


@given(filters=st.lists(st.builds(Filter, st.text(max_size=9), st.none() | st.text(max_size=9)), max_size=5).map(tuple))
def test_filters_come_back_from_the_database_as_they_went(filters: tuple[Filter, ...]) -> None:
    assert from_json(to_json(filters)) == filters


@given(key=st.text(min_size=1, max_size=20), body=st.binary(max_size=50), other=st.binary())
def test_no_other_body_bears_the_same_signature(key: str, body: bytes, other: bytes) -> None:
    webhook = Webhook("n", "p", "a", Authentication.GITHUB_HMAC, (), token=Secret(key))
    headers = {"x-hub-signature-256": signed("sha256", key, body)}

    assert is_authentic(webhook, body, headers, "")
    assert body == other or not is_authentic(webhook, other, headers, "")

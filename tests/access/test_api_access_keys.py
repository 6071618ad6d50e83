"""The root's own keys."""

from tests.access.cloud import Cloud, allowing, refusal


def test_the_root_makes_a_second_key_and_no_third(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    key = iam.create_access_key()["AccessKey"]
    own = cloud.by("sts", key["AccessKeyId"], key["SecretAccessKey"])
    listed = iam.list_access_keys()["AccessKeyMetadata"]

    assert own.get_caller_identity()["Arn"].endswith(":root")
    assert {each["AccessKeyId"] for each in listed} == {cloud.root[0], key["AccessKeyId"]}
    assert "SecretAccessKey" not in listed[0]
    assert refusal(iam.create_access_key)[0] == "LimitExceeded"


def test_a_key_that_is_inactive_or_gone_opens_nothing(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    key = iam.create_access_key()["AccessKey"]
    own = cloud.by("sts", key["AccessKeyId"], key["SecretAccessKey"])
    before = own.get_caller_identity()
    iam.update_access_key(AccessKeyId=key["AccessKeyId"], Status="Inactive")
    inactive = refusal(own.get_caller_identity)
    iam.update_access_key(AccessKeyId=key["AccessKeyId"], Status="Active")
    again = own.get_caller_identity()
    iam.delete_access_key(AccessKeyId=key["AccessKeyId"])

    assert before["Arn"] == again["Arn"]
    assert inactive[0] == "InvalidClientTokenId"
    assert refusal(own.get_caller_identity)[0] == "InvalidClientTokenId"
    assert refusal(iam.delete_access_key, AccessKeyId=key["AccessKeyId"])[0] == "NoSuchEntity"


def test_there_are_no_keys_of_users_and_none_of_the_root_for_a_role(cloud: Cloud) -> None:
    admin = cloud.client("iam", cloud.as_role("admin", allowing("*")))

    assert refusal(cloud.client("iam").create_access_key, UserName="ann")[0] == "NoSuchEntity"
    assert refusal(admin.create_access_key)[:2] == (
        "ValidationError", "Must specify userName when calling with non-User credentials",
    )  # fmt: skip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.secrets import parameter_names as names
from codeyard.secrets.parameter_names import Reference
from tests.calls import call

ARN = "arn:aws:ssm:us-east-1:000000000000:parameter/"
PARTS = st.from_regex(r"[bc][A-Za-z0-9_.-]{0,6}", fullmatch=True)


@given(st.lists(PARTS, min_size=1, max_size=15))
def test_a_path_is_a_name_and_its_arn_names_it(parts: list[str]) -> None:
    name = "/" + "/".join(parts)

    assert names.new_name(name) == name
    assert names.reference(names.arn(Owner(), name), Owner()).names[0] == name


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "ValidationException"),
        ("a b", "ValidationException"),
        ("a:1", "ValidationException"),
        ("/a//b", "ValidationException"),
        ("/a/", "ValidationException"),
        ("/", "ValidationException"),
        ("a/b", "ValidationException"),
        ("nul\0", "ValidationException"),
        ("ä", "ValidationException"),
        ("x" * 1012, "ValidationException"),
        ("aws-thing", "ValidationException"),
        ("AWS", "ValidationException"),
        ("/ssm/x", "ValidationException"),
        ("ssmx", "ValidationException"),
        ("/aws/x", "AccessDeniedException"),
        ("/x" * 16, "HierarchyLevelLimitExceededException"),
    ],
)
def test_what_may_be_no_name_has_awss_error(name: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        names.new_name(name)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a", Reference(("a",))),
        ("/a/b:3", Reference(("/a/b",), version=3, selector=":3")),
        ("a:prod", Reference(("a",), label="prod", selector=":prod")),
        (f"{ARN}a", Reference(("/a", "a"))),
        (f"{ARN}a/b:3", Reference(("/a/b", "a/b"), version=3, selector=":3")),
        (f"{ARN}a".replace("us-east-1", "eu-west-1"), Reference(())),
    ],
)
def test_a_text_means(text: str, meant: Reference) -> None:
    assert names.reference(text, Owner()) == meant


@pytest.mark.parametrize(
    "text",
    [
        "a:",
        "a:b:c",
        "a b",
        "arn:aws:ssm:us-east-1:000000000000:document/x",
        "a:ä",
        "ä",
        f"{ARN}/a",
        ARN,
        ARN.replace("arn:aws", "arn:x") + "a",
    ],
)
def test_no_other_text_does(text: str) -> None:
    with pytest.raises(Refused) as caught:
        names.reference(text, Owner())

    assert caught.value.code == "ValidationException"


def test_the_resource_of_a_call_is_the_parameter_whatever_it_is_called_by() -> None:
    found = {
        names.one(call("ssm", "GetParameter", Name=text)) for text in ("/a/b", "/a/b:1", f"{ARN}a/b", f"{ARN}a/b:x")
    }

    assert found == {f"{ARN}a/b"}
    assert names.several(call("ssm", "GetParameters", Names=["a", "/b"])) == (f"{ARN}a", f"{ARN}b")
    assert names.below(call("ssm", "GetParametersByPath", Path="/a/b")) == f"{ARN}a/b"
    assert names.listed(call("ssm", "DescribeParameters")) == ARN.replace("parameter/", "*")


@given(
    st.from_regex(
        r"(arn:aws[a-z-]?:ssm:us-east-1:000000000000:parameter)?/{0,2}[ab]{1,2}(/{0,2}a)?(:1)?", fullmatch=True
    )
)
def test_permission_is_asked_for_on_whatever_is_found(text: str) -> None:
    """Or another spelling would pass by a policy that denies the parameter."""
    try:
        found = names.reference(text, Owner()).names
    except Refused:
        found = ()

    assert {names.arn(Owner(), name) for name in found} <= {names.named_arn(Owner(), text)}


@pytest.mark.parametrize("path", ["a", "", "//", "/a//b", "/ä", "/a b"])
def test_a_path_begins_with_a_slash(path: str) -> None:
    with pytest.raises(Refused, match="must begin with a forward slash"):
        names.path(path)


def test_a_path_ends_in_one_slash() -> None:
    assert [names.path(text) for text in ("/", "/a", "/a/")] == ["/", "/a/", "/a/"]

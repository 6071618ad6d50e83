"""Where repositories are, by the setting and by what a pipeline names; and what may be reached."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Denied, Invalid
from codeyard.pipelines.actions.repositories import Reach, Repositories, Where

ARN = "arn:aws:codestar-connections:us-east-1:111122223333:connection/aaaa-bbbb"
ALL = Repositories.parse(
    f"codecommit=https://one.example/{{repository}}.git  {ARN}=https://two.example/{{repository}} "
    "cccc=ssh://git@three.example/{repository} *=file:///srv/git/{repository} ecr=127.0.0.1:5000/team"
)


@pytest.mark.parametrize(
    ("where", "url"),
    [
        (ALL.codecommit("app"), "https://one.example/app.git"),
        (ALL.connection(ARN, "group/sub/app"), "https://two.example/group/sub/app"),
        (ALL.connection("arn:aws:x:connection/cccc", "o/r"), "ssh://git@three.example/o/r"),
        (ALL.connection("arn:aws:x:connection/dddd", "o/r"), "file:///srv/git/o/r"),
        (ALL.github("o", "r"), "file:///srv/git/o/r"),
        (Repositories().github("o", "r"), "https://github.com/o/r.git"),
    ],
)
def test_a_key_says_where_a_repository_is(where: Where, url: str) -> None:
    assert where == Where(url, known=True)


@pytest.mark.parametrize(
    "url", ["https://git.example/o/r.git", "ssh://git@h/o/r", "git@h:o/r", "file:///srv/r", "http://h:8080/r"]
)
def test_a_name_may_be_a_url_itself(url: str) -> None:
    assert ALL.codecommit(url) == Where(url, known=False)


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "/a", "a b", "", "https://u:p@h/r", "https://u@h/r", "ext::sh -c x", "-x:y", "a//b", "ftp://h/x"]
)  # fmt: skip
def test_what_is_neither_is_refused_and_no_password_is_repeated(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        ALL.connection("x", name)

    assert "u:p" not in str(refused.value)


def test_a_name_that_nobody_knows_says_what_to_set() -> None:
    with pytest.raises(Invalid, match="Set repositories to aaaa-bbbb=URL"):
        Repositories().connection(ARN, "o/r")


@pytest.mark.parametrize(
    "text",
    [
        "codecommit",
        "=https://h/x",
        "codecommit=nowhere",
        "codecommit=https://u:secret@h/x",
        "codecommit=https://{repository}/x",
        "codecommit=https://h/a codecommit=https://h/b",
        "ecr=https://h/a b=%",
        "ecr=a@b",
    ],
)
def test_a_setting_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Repositories.parse(text)

    assert "secret" not in str(refused.value)


def test_hosts_are_those_of_the_setting() -> None:
    assert ALL.hosts == {"one.example", "two.example", "three.example"}


@pytest.mark.parametrize(
    ("where", "reach", "denied"),
    [
        (Where("file:///srv/r", False), Reach(), True),
        (Where("file:///srv/r", False), Reach(local_sources=True), False),
        (Where("file:///srv/r", True), Reach(), False),
        (Where("file:///data/r", True), Reach(True, True, Path("/data")), True),
        (Where("file:///x/../da%74a/r", True), Reach(True, True, Path("/data")), True),
        (Where("git@h:r", False), Reach(), True),
        (Where("ssh://h/r", False), Reach(local_sources=True), True),
        (Where("ssh://h/r", False), Reach(host_git=True), False),
        (Where("https://h/r", False), Reach(private=Path("/data")), False),
    ],
)
def test_a_url_of_a_pipeline_reaches_no_disk_and_uses_no_key(where: Where, reach: Reach, denied: bool) -> None:
    def outcome() -> bool:
        try:
            reach.check(where)
        except Denied:
            return True
        return False

    assert outcome() == denied


@given(st.text(max_size=30), st.sampled_from(["", "x:", "https://", "file://", "git@"]))
def test_no_name_leads_out_of_where_the_setting_says(text: str, before: str) -> None:
    """Whatever a pipeline names: its own URL, which `Reach` judges, or beneath the setting's, or a refusal."""
    try:
        where = ALL.connection("x", before + text)
    except Invalid:
        return

    inside = where.url.startswith("file:///srv/git/") and "/../" not in f"{where.url}/" and "//" not in where.url[8:]
    assert not where.known or inside

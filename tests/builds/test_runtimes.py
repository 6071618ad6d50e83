"""`runtime-versions` (reference 1.6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.runtimes import Selected, answers, parse_manifest, select
from codeyard.errors import Invalid

MANIFEST = parse_manifest(
    """
version: 0.1
runtimes:
  nodejs:
    versions:
      18: {commands: [n 18]}
      20.9: {commands: [n 20.9]}
      20.10: {commands: ['echo "Installing"', n 20.10]}
      default: {commands: ["n $VERSION"]}
  golang:
    versions:
      1.20: {commands: [goenv global 1.20]}
      1.9: {commands: []}
  java:
    versions:
      corretto17: {commands: [export JAVA_HOME=x]}
      corretto8: {commands:}
"""
)


@pytest.mark.parametrize(
    ("name", "version", "selected"),
    [
        ("nodejs", "18", Selected("nodejs", "18", ("n 18",))),
        ("nodejs", "20.10", Selected("nodejs", "20.10", ('echo "Installing"', "n 20.10"))),
        ("nodejs", "20.x", Selected("nodejs", "20.10", ('echo "Installing"', "n 20.10"))),
        ("golang", "1.20", Selected("golang", "1.20", ("goenv global 1.20",))),
        ("golang", "latest", Selected("golang", "1.20", ("goenv global 1.20",))),
        ("nodejs", "19", Selected("nodejs", "19", ("n $VERSION",))),
        ("nodejs", "18.x", Selected("nodejs", "18", ("n 18",))),
        ("java", "corretto8", Selected("java", "corretto8", ())),
        ("java", "latest", Selected("java", "corretto17", ("export JAVA_HOME=x",))),
    ],
)
def test_a_version_is_selected(name: str, version: str, selected: Selected) -> None:
    assert select(MANIFEST, {name: version}) == (selected,)


def test_an_unknown_runtime_is_told_with_aws_s_words() -> None:
    with pytest.raises(Invalid) as raised:
        select(MANIFEST, {"docker": "18"})

    assert f"{raised.value.what}. {raised.value.why}" == (
        "Unknown runtime named 'docker'. This build image has the following runtimes: golang, java, nodejs"
    )


def test_an_unknown_version_is_told_with_aws_s_words() -> None:
    with pytest.raises(Invalid) as raised:
        select(MANIFEST, {"golang": "7"})

    assert raised.value.what == "Unknown runtime version named '7' of golang"
    assert raised.value.why.startswith("This build image has the following versions: 1.")


@pytest.mark.parametrize("text", ["", "[]", "runtimes: 1", "runtimes: {a: 1}", "runtimes: {a: {versions: []}}", "a: ["])
def test_a_broken_manifest_is_told(text: str) -> None:
    with pytest.raises(Invalid, match="runtimes manifest"):
        parse_manifest(text)


def test_a_manifest_made_to_grow_does_not() -> None:
    """An image is not trusted: lists of lists by alias would be a text of gigabytes."""
    grown = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    text = f"a0: &a0 [x]\n{grown}runtimes: {{r: {{versions: {{1: {{commands: *a29}}}}}}}}\n"

    assert parse_manifest(text) == {"r": {"1": ()}}


def test_a_manifest_without_a_floor_is_told() -> None:
    with pytest.raises(Invalid, match="runtimes manifest"):
        parse_manifest("[" * 100_000)


@pytest.mark.parametrize(
    ("found", "wanted", "answer"),
    [
        ("3.11.4", "3.11", True), ("3.11.4", "3.1", False), ("3.11.4", "3.x", True), ("20.1.0", "latest", True),
        ("20.1.0", "18", False), ("no number", "3", False), ("17.0.2", "corretto17", True), ("1.8.0", "1.8.0", True),
    ],
)  # fmt: skip
def test_whether_what_is_on_the_path_is_what_was_asked_for(found: str, wanted: str, answer: bool) -> None:
    assert answers(found, wanted) is answer


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_has_an_answer(found: str, wanted: str) -> None:
    assert answers(found, wanted) in {True, False}


@given(st.dictionaries(st.sampled_from(["nodejs", "java", "golang", "x"]), st.text(max_size=6), max_size=3))
def test_selecting_gives_one_for_each_or_says_why_not(wanted: dict[str, str]) -> None:
    try:
        told = [each.name for each in select(MANIFEST, wanted)]
    except Invalid as error:
        told = [error.what]

    assert told == list(wanted) or told[0].startswith("Unknown runtime")

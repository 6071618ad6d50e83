import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codeyard.pipelines.expressions import (
    LIMIT,
    TooLong,
    Unresolved,
    malformed,
    references,
    refers,
    resolve,
    resolve_all,
)

VALUES = {"Git": {"CommitId": "abc", "Note": "#{Git.CommitId} costs 5$"}, "codepipeline": {"PipelineExecutionId": "1"}}


@pytest.mark.parametrize(
    ("text", "found", "wrong"),
    [
        ("plain", [], []),
        ("#{Git.CommitId}", [("Git", "CommitId")], []),
        ("a #{A.b}#{C-d@_.e^[0]*$} z", [("A", "b"), ("C-d@_", "e^[0]*$")], []),
        ("#{Git}", [], ["#{Git}"]),
        ("#{a.b.c} #{} #{.} #{a. b}", [], ["#{a.b.c}", "#{}", "#{.}", "#{a. b}"]),
        ("#{ ${HOME} #a {b}", [], []),
        ("##{a.b}}", [("a", "b")], []),
        ("#{#{a.b}}", [("a", "b")], []),
    ],
)
def test_references_are_found_and_told_from_what_is_malformed(
    text: str, found: list[tuple[str, str]], wrong: list[str]
) -> None:
    assert (references(text), malformed(text), refers(text)) == (found, wrong, bool(found or wrong))


def test_references_are_replaced_wherever_they_are() -> None:
    resolved = resolve({"A": "v#{Git.CommitId}-#{codepipeline.PipelineExecutionId}", "B": "as it is"}, VALUES)

    assert resolved == {"A": "vabc-1", "B": "as it is"}


def test_what_a_value_brings_in_is_not_looked_at_again() -> None:
    assert resolve({"A": "#{Git.Note}"}, VALUES) == {"A": "#{Git.CommitId} costs 5$"}


def test_all_that_cannot_be_resolved_is_named_once() -> None:
    with pytest.raises(Unresolved) as unresolved:
        resolve({"A": "#{Git.Nothing} #{Git.CommitId}", "B": "#{Nobody.x} #{Git.Nothing} #{oops}"}, VALUES)

    assert unresolved.value.names == ("#{Git.Nothing}", "#{Nobody.x}", "#{oops}")
    assert "#{Git.Nothing}, #{Nobody.x}, #{oops}" in str(unresolved.value)
    assert pickle.loads(pickle.dumps(unresolved.value)).names == unresolved.value.names


def test_the_values_together_may_have_a_hundred_kilobytes() -> None:
    half = {"Big": {"half": "é" * (LIMIT // 4)}}

    assert len(resolve({"A": "#{Big.half}", "B": "#{Big.half}"}, half)) == 2
    with pytest.raises(TooLong):
        resolve({"A": "#{Big.half}", "B": "#{Big.half}", "C": "x"}, half)


@given(st.lists(st.text() | st.sampled_from(["#{Git.CommitId}", "#{", "}", "#{a.b}", "#{#{"]), max_size=8).map("".join))
def test_what_is_known_is_replaced_and_all_else_stays(text: str) -> None:
    assume(not malformed(text))
    known = {namespace: {key: "!" for _, key in references(text)} for namespace, _ in references(text)}

    [resolved] = resolve_all([text], known)

    assert refers(text) or resolved == text
    assert len(resolved) == len(text) - sum(len(f"#{{{space}.{key}}}") - 1 for space, key in references(text))


@given(st.integers(1, 50_000))
def test_hostile_text_takes_no_longer_than_its_length(times: int) -> None:
    assert references("#{" * times) == []

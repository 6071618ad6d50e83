import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.action_types import ActionTypeSpec
from codeyard.pipelines.builtin_types import BUILTIN
from codeyard.pipelines.rule_types import RULES
from codeyard.pipelines.rules_configuration import Configured, faults

VALUES = st.text(max_size=30) | st.sampled_from(["#{a.b}", "[]", "{}", "[1]", "1", "true", "FilePath", "CREATE_UPDATE"])


@given(st.sampled_from(BUILTIN + RULES), st.data())
def test_any_values_are_looked_at_without_harm_and_never_repeated(spec: ActionTypeSpec, data: st.DataObject) -> None:
    keys = [one.name for one in spec.properties]
    values = {key: data.draw(VALUES) for key in keys} | {"Unknown": "x"}
    marked = {key: f"{value}\x01hidden" for key, value in values.items()}

    texts = [text for one in (values, marked) for text in faults(Configured("It", spec, one, ["Source"], "us-east-1"))]
    assert all(text.startswith("It ") and "hidden" not in text for text in texts)


@pytest.mark.parametrize("spec", BUILTIN + RULES, ids=lambda spec: str(spec.id))
def test_values_that_are_references_are_not_known_yet(spec: ActionTypeSpec) -> None:
    values = {one.name: "#{Git.ETag}" for one in spec.properties}

    assert list(faults(Configured("It", spec, values, ["Source"], "us-east-1"))) == []

"""Which registry a repository's name means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Fault, Invalid
from codeyard.pipelines.actions.registries import Name, image, name_of


@pytest.mark.parametrize(
    ("repository", "registry", "name"),
    [
        ("ghcr.io/team/app", None, Name("ghcr.io", "team/app")),
        ("localhost:5000/app", None, Name("localhost:5000", "app", plain=True)),
        ("127.0.0.1:5000/app", "r.example", Name("127.0.0.1:5000", "app", plain=True)),
        ("team/app", "r.example", Name("r.example", "team/app")),
        ("app", "http://r.example:80/all", Name("r.example:80", "all/app", plain=True)),
        ("app", "https://localhost/x/{repository}", Name("localhost", "x/app")),
    ],
)
def test_a_name_has_its_registry_or_that_of_the_setting(repository: str, registry: str | None, name: Name) -> None:
    assert name_of(repository, registry) == name


@pytest.mark.parametrize("repository", ["app", "a.b/App", "a.b/../x", "a.b/x?y", "a.b@c/x", "a.b/x:1", "a.b/"])
def test_what_names_no_repository_is_refused(repository: str) -> None:
    with pytest.raises(Invalid):
        name_of(repository, None)


@given(st.text(max_size=40))
def test_nothing_in_a_name_changes_whom_is_asked(text: str) -> None:
    """Whatever the name, the address is of the setting's registry, or of the host that it begins with."""
    try:
        name = name_of(text, "r.example")
    except Invalid:
        return

    asked = "registry-1.docker.io" if name.host.endswith("docker.io") else name.host
    assert name.base.startswith((f"https://{asked}/v2/", f"http://{asked}/v2/"))
    assert name.host in ("r.example", text.partition("/")[0])
    assert not set("?#@\\ %") & set(name.base)


def test_a_tag_is_a_tag_and_a_registry_that_is_not_there_is_told() -> None:
    name = Name("127.0.0.1:9", "app", plain=True)

    with pytest.raises(Invalid):
        image(name, "../1")
    with pytest.raises(Fault, match="it cannot be reached"):
        image(name, "1")

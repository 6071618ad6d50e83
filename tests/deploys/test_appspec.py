"""appspec.yml: what it means, and every mistake in it at its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.deploys.appspec import AppSpec, Context, Copy, FileExists, Hook, Permission, System, Target, parse
from codeyard.errors import Misspelt

WHOLE = """\
version: 0.0
os: linux
files:
  - source: /
    destination: /srv/app/
  - source: /conf/app.ini
    destination: /etc/app
file_exists_behavior: OVERWRITE
permissions:
  - object: /srv/app
    pattern: "*.sh"
    except: [secret.sh]
    owner: root
    group: www-data
    mode: "0755"
    type: [file]
    acls: ["u:bob:rw", "g:ops:rx"]
    context: {user: system_u, type: httpd_sys_content_t, range: s0}
  - object: /etc/app
    mode: 640
hooks:
  BeforeInstall:
    - location: scripts/stop.sh
      timeout: 30
      runas: www-data
  ApplicationStop:
  ValidateService: []
  AfterInstall:
    - location: /a.sh
    - location: b.sh
"""
HEAD = "version: 0.0\nos: linux\n"


def test_a_whole_file_means_what_the_reference_says() -> None:
    spec = parse(WHOLE)

    assert spec == AppSpec(
        System.LINUX,
        (Copy("", "/srv/app"), Copy("conf/app.ini", "/etc/app")),
        FileExists.OVERWRITE,
        (
            Permission(
                "/srv/app",
                "*.sh",
                ("secret.sh",),
                frozenset({Target.FILE}),
                0o755,
                "root",
                "www-data",
                ("u:bob:rw", "g:ops:rx"),
                Context("httpd_sys_content_t", "system_u", "s0"),
            ),
            Permission("/etc/app", mode=0o640),
        ),
        {
            "BeforeInstall": (Hook("scripts/stop.sh", 30, "www-data"),),
            "ApplicationStop": (),
            "ValidateService": (),
            "AfterInstall": (Hook("a.sh"), Hook("b.sh")),
        },
    )


def test_json_is_yaml_and_unknown_keys_are_ignored() -> None:
    spec = parse('{"version": 0.0, "os": "linux", "author": "me", "hooks": {"Mine": [{"location": "x"}]}}')

    assert spec.unknown_events == ("Mine",)
    assert spec.files == ()


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("", 1, 1, "was empty"),
        ("false", 1, 1, "was empty"),
        ("os: linux\n", 1, 1, "invalid version value ()"),
        ('version: "0.0"\nos: linux\n', 1, 10, "invalid version value (0.0)"),
        ("version: 0.2\nos: linux\n", 1, 10, "invalid version value (0.2)"),
        ("version: 0.0\nos: beos\n", 2, 5, "unsupported operating system (beos)"),
        ("version: 0.0\n", 1, 1, "unsupported operating system ()"),
        (HEAD + "files:\n\t- source: a\n", 4, 1, "cannot start any token"),
        (HEAD + "files:\n  - source: a\n", 4, 5, "specifies only a source file"),
        (HEAD + "files:\n  - destination: /a\n", 4, 5, "but no source file"),
        (HEAD + "files:\n  - source: ../a\n    destination: /a\n", 4, 13, "leads out of the revision"),
        (HEAD + "files:\n  - source: a\n    destination: b\n", 5, 18, "is not absolute"),
        (HEAD + "files:\n  source: a\n", 4, 3, "Cannot unmarshal map to list"),
        (HEAD + "file_exists_behavior: MAYBE\n", 3, 23, "invalid file_exists_behavior"),
        (HEAD + "permissions:\n  - mode: 644\n", 4, 5, "has no object value"),
        (HEAD + "permissions:\n  - object: /a\n    mode: u+x\n", 5, 11, "not 1 to 4 octal digits"),
        (HEAD + "permissions:\n  - object: /a\n    mode: 0644\n", 5, 11, "the number 420"),
        (HEAD + "permissions:\n  - object: /a\n    type: [link]\n", 5, 12, "neither file nor directory"),
        (HEAD + "permissions:\n  - object: /a\n    acls: ['u::rwx']\n", 5, 12, "acl u::rwx is not"),
        (HEAD + "permissions:\n  - object: /a\n    acls: ['m::rwx']\n", 5, 12, "acl m::rwx is not"),
        (HEAD + "permissions:\n  - object: /a\n    acls: ['d:u:bob:rwx']\n", 5, 11, "a default acl on files"),
        (HEAD + "permissions:\n  - object: /a\n    context: {user: a}\n", 5, 14, "a context without a type"),
        (HEAD + "permissions:\n  - object: /a\n    context: {type: a, role: b}\n", 5, 24, "a context with a role"),
        (HEAD + "permissions:\n  - object: /a\n    owner: '-x y'\n", 5, 12, "no name of a user"),
        (HEAD + "hooks:\n  AfterInstall:\n    - timeout: 3\n", 5, 7, "a script with no location value"),
        (HEAD + "hooks:\n  AfterInstall:\n    - location: a\n      timeout: 0\n", 6, 16, "an invalid timeout value"),
        (HEAD + "hooks:\n  AfterInstall:\n    - location: a\n      timeout: 1.5\n", 6, 16, "an invalid timeout value"),
        (HEAD + "hooks:\n  AfterInstall:\n    - location: ../../bin/sh\n", 5, 17, "leads out of the revision"),
        (HEAD + "hooks:\n  AfterInstall: run.sh\n", 4, 17, "Cannot unmarshal string to list"),
    ],
)
def test_a_mistake_is_found_at_its_place(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(Misspelt) as caught:
        parse(text)

    first = caught.value.mistakes[0]
    assert what in first.what
    assert (first.line, first.column) == (line, column)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(Misspelt) as caught:
        parse("version: 1\nos: dos\nfiles:\n  - source: a\nhooks:\n  AfterInstall:\n    - timeout: x\n")

    assert [mistake.line for mistake in caught.value.mistakes] == [1, 2, 4, 7]


@pytest.mark.parametrize(
    ("pattern", "excepted", "path", "covered"),
    [
        ("**", (), "/a/b", True),
        ("**", (), "/a/b/c", True),
        ("**", ("c",), "/a/b/c", True),
        ("**", ("b*",), "/a/b", False),
        ("*", (), "/a/b", True),
        ("*", (), "/a/b/c", False),
        ("*.sh", (), "/a/x.sh", True),
        ("*.sh", (), "/a/x.py", False),
        ("**", (), "/ab", False),
        ("**", (), "/a", False),
    ],
)
def test_a_pattern_covers_direct_children_unless_it_is_all(
    pattern: str, excepted: tuple[str, ...], path: str, covered: bool
) -> None:
    assert Permission("/a", pattern, excepted).covers(path) is covered


@given(st.text(max_size=200) | st.text("-: \n[]{}abcs/.'\"0version*&", max_size=200))
def test_any_text_is_read_or_refused_with_places(text: str) -> None:
    told = True
    try:
        parse(text)
    except Misspelt as wrong:
        told = all(mistake.what and mistake.fix for mistake in wrong.mistakes)

    assert told


_PATH = st.lists(st.sampled_from(["a", "b c", "..", ".", "", "é"]), max_size=5).map("/".join)


@given(_PATH, _PATH, st.lists(st.tuples(_PATH, st.integers(-3, 4000)), max_size=3))
def test_no_path_leads_out_of_the_revision(source: str, destination: str, hooks: list[tuple[str, int]]) -> None:
    scripts = "".join(f"\n    - location: '{path}'\n      timeout: {seconds}" for path, seconds in hooks) or " []"
    text = (
        f"{HEAD}files:\n  - source: '{source}'\n    destination: '/{destination}'\nhooks:\n  AfterInstall:{scripts}\n"
    )
    try:
        spec = parse(text)
    except Misspelt:
        return

    for path in [spec.files[0].source, *(hook.location for hook in spec.hooks["AfterInstall"])]:
        assert not path.startswith("/")
        assert ".." not in path.split("/")
    assert ".." not in spec.files[0].destination.split("/")
    assert all(hook.timeout > 0 for hook in spec.hooks["AfterInstall"])

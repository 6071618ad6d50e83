import re
from datetime import timedelta
from pathlib import Path

import pytest

from codeyard.aws import Refused
from codeyard.console.stream import Limits
from tests.console.coloured import LOG
from tests.console.yard import NOW, REGION, Visitor, Yard, build, entry, project, queued

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def page(shape: object) -> str:
    """A build's."""
    assert isinstance(shape, dict)
    return f"/console/builds/{REGION}/{shape['id']}"


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    """A failed build with its log, one that runs, one that waits."""
    yard = Yard(tmp_path)
    yard.add(queued("web", 3, 2), build("web", 2, "IN_PROGRESS", 64, "BUILD"), build("web", 1, "FAILED"))
    yard.log(yard.builds[2], LOG)
    return yard


PATHS = ["/console", "/console/builds", f"/console/projects/{REGION}/web", f"/console/builds/{REGION}/web:x"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_session_there_is_nothing_but_how_to_log_in(yard: Yard, path: str) -> None:
    with yard.served() as url:
        answer = Visitor(url).get(path)

    assert answer.status == 401
    assert "codeyard env --console" in answer.text
    assert f'value="{path}"' in answer.text
    assert "web" not in answer.text.replace(path, "")
    assert yard.asked == []


def test_without_a_session_no_log_is_given(yard: Yard) -> None:
    with yard.served() as url:
        answers = [Visitor(url).get(f"{page(yard.builds[2])}/{part}", accept="*/*") for part in ("log", "events")]

    assert [answer.status for answer in answers] == [401, 401]


def test_the_link_lets_in_and_the_key_leaves_the_address(yard: Yard) -> None:
    with yard.served() as url:
        visitor = Visitor(url)
        answer = visitor.get(entry())
        inside = visitor.log_in().get(answer.headers["location"])

    assert (answer.status, answer.headers["location"]) == (303, "/console")
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert inside.status == 200


def test_a_wrong_key_does_not(yard: Yard) -> None:
    with yard.served() as url:
        by_link = Visitor(url).get("/console/login?key=wrong")
        by_form = Visitor(url).post("/console/login", {"key": "wrong", "next": "https://elsewhere.test/"})
        too_long = Visitor(url).post("/console/login", {"key": "x" * 100_000})

    assert [by_link.status, by_form.status, too_long.status] == [403, 403, 403]
    assert "set-cookie" not in by_link.headers
    assert "elsewhere" not in by_form.text


def test_the_form_takes_the_whole_link_and_goes_where_one_wanted_to(yard: Yard) -> None:
    with yard.served() as url:
        answer = Visitor(url).post("/console/login", {"key": entry(url), "next": "/console/builds"})

    assert (answer.status, answer.headers["location"]) == (303, "/console/builds")


def test_who_comes_by_another_sites_link_is_asked_to_come_again(yard: Yard) -> None:
    """Browsers do not send the cookie then."""
    with yard.served() as url:
        answer = Visitor(url).get("/console", sec_fetch_site="cross-site")

    assert (answer.status, answer.headers["refresh"]) == (200, "0")


@pytest.mark.parametrize("path", ["/console", "/console/nowhere", "/console/login", "/console/projects/X/y"])
def test_every_page_forbids_what_it_does_not_need(yard: Yard, path: str) -> None:
    with yard.served() as url:
        headers = Visitor(url).log_in().get(path).headers
        again = Visitor(url).log_in().get(path).headers
    policy = headers["content-security-policy"]

    assert re.search(r"default-src 'none'; script-src 'nonce-[\w-]{22}'; style-src 'nonce-[\w-]{22}';", policy)
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert policy != again["content-security-policy"]
    assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
    assert headers["cache-control"] == "no-store"


def test_no_page_has_a_script_or_a_style_of_its_own(yard: Yard) -> None:
    paths = ["/console", "/console/builds", f"/console/projects/{REGION}/web", page(yard.builds[2]), "/console/login"]
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        pages = "".join(visitor.get(path).text for path in paths)

    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=|javascript:", pages) == []
    assert re.findall(r'(?:src|href)="https?://(?!github\.com/example)', pages) == []


def test_the_overview_shows_projects_and_what_goes_on(yard: Yard) -> None:
    yard.projects["idle"] = project("idle")
    with yard.served() as url:
        text = Visitor(url).log_in().get("/console").text

    assert "<title>1 running, 1 queued · Projects · Codeyard</title>" in text
    assert "1 builds before it. Position 2 in the queue." in text
    assert "No builds yet" in text
    assert "The newest 3 builds: 1 queued, 1 running, 1 failed" in text


def test_a_build_says_all_that_is_known_of_it(yard: Yard) -> None:
    with yard.served() as url:
        text = Visitor(url).log_in().get(page(yard.builds[2])).text

    assert "<title>✗ Failed · web #1 · Codeyard</title>" in text
    for part in ("COMMAND_EXECUTION_ERROR", "make test. Reason: exit status 2", "4f1c5d2a9be04d7b8c6e1f00a7d3b95e2c8",
                 "aws/codebuild/standard:7.0", "s3://releases/web.zip", "VERSION", "1.4.2", "parameter", "Run again",
                 f"{page(yard.builds[2])}/artifacts/0", 'href="https://github.com/example/web.git"'):  # fmt: skip
        assert part in text, part


def test_without_scripts_the_log_can_be_read(yard: Yard) -> None:
    with yard.served() as url:
        text = Visitor(url).log_in().get(page(yard.builds[2])).text
    shown = text.partition("<noscript>\n<pre")[2].partition("</pre>")[0] or text.rpartition("<pre class")[2]

    assert "FAILED tests/test_cart.py::test_totals - AssertionError: 41 != 42" in shown
    assert "Downloading 100% done" in shown
    assert "\x1b" not in text


def test_the_whole_log_is_text_and_the_download_is_as_it_was_written(yard: Yard) -> None:
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        text, raw = (visitor.get(f"{page(yard.builds[2])}/log{query}") for query in ("", "?raw"))

    assert "PASSED tests/test_00.py" in text.text
    assert "\x1b" not in text.text
    assert raw.text == LOG.decode()
    for answer in (text, raw):
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_parts_of_the_log_are_found_by_line_and_by_phase(yard: Yard) -> None:
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        part, phase, none = (
            visitor.get(f"{page(yard.builds[2])}/log/part?{query}", accept="*/*").text
            for query in ("line=13&count=1", "phase=BUILD", "phase=%3Cnone%3E")
        )

    assert '"line": 13' in part
    assert phase == '{"line": 17}'
    assert none == '{"line": null}'


def test_hostile_names_are_texts_everywhere(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    variables = [{"name": XSS, "value": XSS, "type": "PLAINTEXT"}]
    environment = {"image": XSS, "computeType": XSS, "environmentVariables": variables}
    hostile = build("web", 1, "FAILED", initiator=XSS, sourceVersion=XSS, resolvedSourceVersion=XSS, serviceRole=XSS,
                    source={"type": "GITHUB", "location": "javascript:alert(1)//" + XSS}, environment=environment,
                    artifacts={"location": XSS, "artifactIdentifier": XSS, "sha256sum": XSS},
                    exportedEnvironmentVariables=variables)  # fmt: skip
    hostile["phases"][6]["contexts"] = [{"statusCode": XSS, "message": XSS}]
    yard.add(hostile)
    yard.projects["web"] |= {"description": XSS, "sourceVersion": XSS, "source": hostile["source"],
                             "environment": environment}  # fmt: skip
    yard.log(hostile, f"{XSS}\n</pre></noscript>{XSS}".encode())
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        paths = ["/console", "/console/builds", f"/console/projects/{REGION}/web", page(hostile)]
        texts = [visitor.get(path).text for path in paths]

    for text in texts:
        assert "<script>alert" not in text
        assert "<img" not in text
        assert 'href="javascript' not in text


def test_starting_asks_for_a_build_and_leads_to_it(yard: Yard) -> None:
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        form = visitor.form(f"/console/projects/{REGION}/web")
        answer = visitor.post(f"/console/projects/{REGION}/web/start", form | {"version": " v1.2 "})
    operation, given = yard.asked[-1]

    assert answer.status == 303
    assert answer.headers["location"] == page(yard.builds[0])
    assert (operation, given["projectName"], given["sourceVersion"]) == ("StartBuild", "web", "v1.2")
    assert given["idempotencyToken"] == form["once"]


@pytest.mark.parametrize(("number", "what", "operation"), [(1, "stop", "StopBuild"), (2, "retry", "RetryBuild")])
def test_a_build_can_be_stopped_and_tried_again(yard: Yard, number: int, what: str, operation: str) -> None:
    id = yard.builds[number]["id"]
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        path = f"/console/builds/{REGION}/{id}"
        answer = visitor.post(f"{path}/{what}", visitor.form(path))

    assert answer.status == 303
    assert (yard.asked[-1][0], yard.asked[-1][1]["id"]) == (operation, id)


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {}),
        ({"csrf": "x" * 43}, {}),
        (None, {"sec_fetch_site": "cross-site"}),
        (None, {"sec_fetch_site": "same-site"}),
    ],
)
def test_a_form_of_another_site_changes_nothing(
    yard: Yard, form: dict[str, str] | None, headers: dict[str, str]
) -> None:
    path = f"/console/projects/{REGION}/web"
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        given = visitor.form(path) if form is None else form
        answer = visitor.post(f"{path}/start", given, **headers)

    assert answer.status == 403
    assert "StartBuild" not in [operation for operation, _ in yard.asked]


def test_another_sessions_form_changes_nothing(yard: Yard) -> None:
    path = f"/console/projects/{REGION}/web"
    with yard.served() as url:
        form = Visitor(url).log_in().form(path)
        answer = Visitor(url).log_in().post(f"{path}/start", form)

    assert answer.status == 403


def test_what_the_api_refuses_is_said(yard: Yard) -> None:
    yard.refused = Refused("AccountLimitExceededException", "Cannot have more than 1 <builds> in queue", 400)
    path = f"/console/projects/{REGION}/web"
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        answer = visitor.post(f"{path}/start", visitor.form(path))

    assert answer.status == 400
    assert "Cannot have more than 1 &lt;builds&gt; in queue" in answer.text
    assert "AccountLimitExceededException" in answer.text


@pytest.mark.parametrize(
    "path",
    ["/console/x", f"/console/builds/{REGION}/web:00000000-0000-0000-0000-000000000000", "/console/builds/EU/web:x",
     f"/console/builds/{REGION}/..%2f..", f"/console/projects/{REGION}/none", f"/console/projects/{REGION}/%3Cb%3E",
     "/console/static/0/../../session.py", "/console/static/0/session.py"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(yard: Yard, path: str) -> None:
    with yard.served() as url:
        assert Visitor(url).log_in().get(path).status == 404


def test_an_artifact_leads_to_a_fresh_link(yard: Yard) -> None:
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        there = visitor.get(f"{page(yard.builds[2])}/artifacts/0")
        absent = visitor.get(f"{page(yard.builds[2])}/artifacts/1")

    assert there.headers["location"] == f"https://objects.test/{REGION}/releases/web.zip"
    assert absent.status == 404
    assert f"codeyard artifacts {yard.builds[2]['id']}" in absent.text


def test_without_links_the_command_is_told(yard: Yard) -> None:
    yard.linked = False
    with yard.served() as url:
        text = Visitor(url).log_in().get(page(yard.builds[2])).text

    assert f"codeyard artifacts {yard.builds[2]['id']}" in text
    assert "/artifacts/0" not in text


def test_too_many_viewers_are_asked_to_come_later(yard: Yard) -> None:
    yard.limits = Limits(viewers=0)
    with yard.served() as url:
        answer = Visitor(url).log_in().get(f"{page(yard.builds[1])}/events")

    assert (answer.status, answer.headers["retry-after"]) == (503, "10")


def test_a_used_session_is_renewed_and_one_that_is_over_is_none(yard: Yard) -> None:
    moment = [NOW]
    yard.now = lambda: moment[0]
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        fresh = visitor.get("/console")
        moment[0] += timedelta(hours=6)
        later = visitor.get("/console")
        moment[0] += timedelta(hours=7)
        over = visitor.get("/console")

    assert "set-cookie" not in fresh.headers
    assert "Max-Age=43200" in later.headers["set-cookie"]
    assert over.status == 401


def test_logging_out_forgets_the_cookie(yard: Yard) -> None:
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        answer = visitor.post("/console/logout", visitor.form("/console"))

    assert "Max-Age=0" in answer.headers["set-cookie"]


def test_files_of_ours_are_kept_for_ever_by_their_version(yard: Yard) -> None:
    with yard.served() as url:
        visitor = Visitor(url)
        paths = re.findall(r"/console/static/\w+/[\w.]+", visitor.get("/console").text)
        answers = [visitor.get(path) for path in paths]
        other = visitor.get("/console/static/0/log.js")

    assert {answer.status for answer in answers} == {200}
    assert all("immutable" in answer.headers["cache-control"] for answer in answers)
    assert other.headers["cache-control"] == "no-store"


def test_the_root_leads_to_the_console(yard: Yard) -> None:
    with yard.served() as url:
        answer = Visitor(url).get("/")

    assert (answer.status, answer.headers["location"]) == (303, "/console")


def test_lists_are_filtered_and_go_on(yard: Yard) -> None:
    yard.add(*(build("other", number, ago=9000 + number) for number in range(150, 0, -1)))
    with yard.served() as url:
        visitor = Visitor(url).log_in()
        failed, first = visitor.get("/console/builds?status=failed").text, visitor.get("/console/builds").text
        second = visitor.get("/console/builds?after=100").text

    assert failed.count("<tr>") == 2
    assert first.count("<tr>") == 101
    assert 'href="?after=100"' in first
    assert second.count("<tr>") == 54


def test_a_fault_of_ours_is_a_page_too(yard: Yard) -> None:
    yard.builds[2]["phases"] = 7
    with yard.served() as url:
        answer = Visitor(url).log_in().get(page(yard.builds[2]))

    assert answer.status == 500
    assert "TypeError" not in answer.text

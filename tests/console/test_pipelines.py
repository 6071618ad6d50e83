"""Pages of pipelines, before a real server."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.asking_pipelines import Line, asking, asking_server, login_path, press, until, visitor
from tests.console.browser import Browser, needs_chromium
from tests.console.test_pages import XSS
from tests.service.servers import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with asking_server(tmp_path_factory.mktemp("server")) as made:
        yield made


def test_without_pipelines_the_list_says_how_to_make_one(server: Server) -> None:
    text = visitor(server).get("/console/pipelines").text

    assert "No pipelines in us-east-1 yet" in text
    assert "aws codepipeline create-pipeline" in text


def test_who_has_no_session_sees_and_changes_nothing(server: Server) -> None:
    line, person = Line(server, asking("closed", "Ask")), visitor(server)
    stranger = type(person)(server.url)
    seen = [stranger.get(path).status for path in ("/console/pipelines", line.page, f"{line.page}/executions")]
    sent = [person.post(f"{line.page}/start", {"csrf": "wrong"}).status, stranger.post(f"{line.page}/start", {}).status]

    assert seen == [401, 401, 401]
    assert sent == [403, 401]
    assert len(line.api.list_pipeline_executions(pipelineName="closed")["pipelineExecutionSummaries"]) == 1


def test_the_list_shows_where_each_is_and_what_waits(server: Server) -> None:
    line, person = Line(server, asking("listed", "Beta", "Prod")), visitor(server)
    line.asked("Beta")
    press(person, line, "transition", stage="Prod", to="disable", reason="Freeze until Monday")
    rest = until(lambda: person.get("/console/pipelines").text.partition('id="row-listed"')[2])
    row = rest.partition("</tr>")[0]

    assert re.findall(r'<li class="([^"]*)">', row) == ["succeeded", "waiting", "idle shut"]
    assert "Approval needed" in row
    assert "Beta · Ask" in row
    assert "Transition disabled" in row
    assert "Pipeline created" in row


def test_a_pipeline_is_driven_by_its_page(server: Server) -> None:
    """Approve, reject with a comment, retry, roll back, stop: each leads back to the page, and is done."""
    line, person = Line(server, asking("driven", "Beta", "Prod")), visitor(server)
    token = line.asked("Beta")
    fields = {"stage": "Beta", "action": "Ask", "token": token, "summary": "Seen.\r\nFine."}
    approved = press(person, line, "approval", **fields, verdict="Approved")
    stale = press(person, line, "approval", **fields, verdict="Approved")
    prod = {"stage": "Prod", "action": "Ask", "token": line.asked("Prod"), "summary": "Totals are wrong"}
    press(person, line, "approval", **prod, verdict="Rejected")
    first = until(lambda: line.status("Prod") == "Failed" and line.newest()["pipelineExecutionId"])
    failed = person.get(line.page).text
    press(person, line, "retry", stage="Prod", execution=first, mode="FAILED_ACTIONS")
    line.answer("Prod", "Approved")
    until(lambda: line.status("Prod") == "Succeeded")
    targets = person.get(f"{line.page}/rollback?stage=Prod").text
    press(person, line, "rollback", stage="Prod", target=first)
    second = until(lambda: line.newest()["executionType"] == "ROLLBACK" and line.newest()["pipelineExecutionId"])
    line.asked("Prod")
    press(person, line, "stop", execution=second, way="abandon", reason="Not today")
    until(lambda: line.newest()["status"] == "Stopped")
    history = person.get(f"{line.page}/executions").text
    own = person.get(f"{line.page}/{first}").text

    assert approved == (303, line.page)
    assert stale[0] == 400
    assert "ApprovalAlreadyCompletedException" in stale[1]
    assert f'href="{line.page}">Back' in stale[1]
    assert "Totals are wrong" in failed
    assert "Retry failed actions" in failed
    assert f'value="{first}"' in targets
    assert "Manual rollback" in history
    assert "Not today" in history
    assert "2 attempts, details" in own
    assert "Seen.\nFine." in own
    assert "Rejected by root" not in own  # it was approved in the end
    assert "artifacts/" in own


def test_an_execution_of_an_earlier_definition_is_shown_and_not_offered_to_go_back_to(server: Server) -> None:
    definition = asking("changed", "Beta")
    line, person = Line(server, definition), visitor(server)
    first = line.newest()["pipelineExecutionId"]
    for _ in range(2):
        line.answer("Beta", "Approved")
        until(lambda: line.newest()["status"] == "Succeeded")
        line.api.update_pipeline(pipeline=definition)
        line.api.start_pipeline_execution(name="changed")
    line.answer("Beta", "Approved")
    until(lambda: line.newest()["status"] == "Succeeded")
    page = person.get(f"{line.page}/rollback?stage=Beta").text
    refused = press(person, line, "rollback", stage="Beta", target=first)

    assert re.findall(r'name="target" value="([^"]+)"', page) == [line.newest()["pipelineExecutionId"]]
    assert re.findall(r"of version (\d): the definition has changed since", page) == ["2", "1"]
    assert "PipelineExecutionOutdatedException" in refused[1]


def test_transitions_are_shut_and_opened_with_a_reason(server: Server) -> None:
    line, person = Line(server, asking("doors", "Beta")), visitor(server)
    shut = press(person, line, "transition", stage="Beta", to="disable", reason="Freeze (ask ops)")
    page = person.get(line.page).text
    wrong = press(person, line, "transition", stage="Beta", to="disable", reason="<b>")
    opened = press(person, line, "transition", stage="Beta", to="enable")

    assert shut[0] == opened[0] == 303
    assert "Freeze (ask ops)" in page
    assert "Enable transition" in page
    assert (wrong[0], "ValidationException" in wrong[1]) == (400, True)
    assert line.stage("Beta")["inboundTransitionState"]["enabled"] is True


def test_a_release_takes_variables_and_a_second_click_starts_nothing_more(server: Server) -> None:
    variables = [{"name": "STAGE", "defaultValue": "beta"}, {"name": "TICKET"}]
    line, person = Line(server, asking("released", "Beta", mode="QUEUED", variables=variables)), visitor(server)
    form = {**person.form(line.page), "variable-STAGE": "", "variable-TICKET": "OPS-1 & more"}
    fields = {name: form[name] for name in ("once", "variable-STAGE", "variable-TICKET")}
    both = [press(person, line, "start", **fields) for _ in range(2)]
    found = line.api.list_pipeline_executions(pipelineName="released")["pipelineExecutionSummaries"]
    own = person.get(f"{line.page}/{found[0]['pipelineExecutionId']}").text

    assert both == [(303, line.page)] * 2
    assert [each["trigger"]["triggerType"] for each in found] == ["StartPipelineExecution", "CreatePipeline"]
    assert "OPS-1 &amp; more" in own
    assert "beta" in own


def test_parallel_executions_are_answered_on_their_own_pages(server: Server) -> None:
    line, person = Line(server, asking("lanes", "Beta", mode="PARALLEL")), visitor(server)
    status, place = press(person, line, "start")
    ask = until(lambda: re.search(r'name="token" value="([^"]+)"', person.get(place).text))
    review = person.get(f"{line.page}/Beta/Ask/approve/{ask[1]}").headers["location"]
    many = person.get(line.page).text
    fields = {"stage": "Beta", "action": "Ask", "token": ask[1], "verdict": "Approved", "summary": ""}
    back = press(person, line, "approval", **fields, **{"from": place.rpartition("/")[2]})
    until(lambda: "✓ Succeeded" in person.get(place).text)

    assert status == 303
    assert review == f"{place}#action-Beta-Ask"
    assert many.count('id="lane-') == 2
    assert "Disable transition" not in many  # it would keep nobody out
    assert back == (303, place)


def test_the_part_that_changes_is_sent_only_if_it_has_changed(server: Server) -> None:
    line, person = Line(server, asking("seldom", "Beta")), visitor(server)
    line.answer("Beta", "Approved")
    until(lambda: line.newest()["status"] == "Succeeded")

    def again() -> int:
        """The time that is shown goes in steps, one of which may be just now."""
        tag = person.get(f"{line.page}?live").headers["etag"]
        return person.get(f"{line.page}?live", if_none_match=tag).status

    first = person.get(f"{line.page}?live")

    assert 304 in (again(), again())
    assert first.text.startswith('<div id="live"')
    assert "<html" not in first.text
    assert first.headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/nothing/executions", 404),
        ("/absent/00000000-0000-0000-0000-000000000000", 404),
        ("/absent/none", 404),
        ("/absent%3Cscript%3E", 404),
        ("/absent/rollback?stage=%3Cb%3E", 404),
        ("/absent/00000000-0000-0000-0000-000000000000/artifacts/x/y", 404),
    ],
)
def test_what_is_not_there_is_said_so(server: Server, path: str, status: int) -> None:
    answer = visitor(server).get(f"/console/pipelines/us-east-1{path}")

    assert answer.status == status
    assert 'href="/console/pipelines">To the pipelines' in answer.text
    assert "<script>" not in answer.text


@needs_chromium
def test_an_approval_is_clicked_and_what_is_half_written_stays(server: Server, browser: Browser) -> None:
    line = Line(server, asking("clicked", "Beta", "Prod"))
    token = line.asked("Beta")
    browser.size(1280)
    browser.go(server.url + login_path(server))
    browser.go(server.url + line.page)
    browser.js(f"globalThis.kept = document.getElementById('summary-{token}'); kept.focus(); kept.value = 'Half'")
    line.api.disable_stage_transition(
        pipelineName="clicked", stageName="Prod", transitionType="Inbound", reason="Freeze"
    )
    browser.until("document.body.textContent.includes('Freeze')")
    kept = browser.js("document.activeElement === kept && kept.isConnected && kept.value")
    browser.js("kept.value += ' written'; document.querySelector('.answer button[value=Approved]').click()")
    until(lambda: line.status("Beta") == "Succeeded")
    said = line.stage("Beta")["actionStates"][0]["latestExecution"]["summary"]
    browser.until("document.querySelector('#stage-Beta .stage')?.classList.contains('succeeded')")
    problems = browser.problems()

    assert kept == "Half"
    assert said == "Half written"
    assert problems == []


@needs_chromium
def test_stages_change_without_a_reload(server: Server, browser: Browser) -> None:
    line = Line(server, asking("live", "Beta", "Prod"))
    line.asked("Beta")
    browser.go(server.url + login_path(server))
    browser.go(server.url + line.page)
    browser.js("globalThis.kept = document.querySelector('#stage-Beta .stage')")
    line.answer("Beta", "Approved", "Fine")
    line.answer("Prod", "Rejected", "Wrong")
    title = browser.until("document.title.startsWith('✗') && document.title")
    shown = browser.js("[...document.querySelectorAll('.stage')].map((each) => each.className)")
    stayed = browser.js("kept.isConnected")
    browser.size(760)
    browser.go(f"{server.url}{line.page}/rollback?stage=Beta")
    edge = "(each) => document.querySelector(each).getBoundingClientRect().right"
    button, table = browser.js(f"['.press button', '.table-box'].map({edge})")

    assert title == "✗ live · Codeyard"
    assert stayed is True
    assert shown == ["stage card succeeded", "stage card succeeded", "stage card failed"]
    assert button < table


@needs_chromium
def test_hostile_texts_are_texts(server: Server, browser: Browser, tmp_path: Path) -> None:
    custom = {"CustomData": XSS, "ExternalEntityLink": "javascript:alert(1)"}
    variables = [{"name": "V", "defaultValue": XSS, "description": XSS[:200]}]
    line = Line(server, asking("hostile", "Beta", "Prod", custom=custom, variables=variables))
    person = visitor(server)
    line.asked("Beta")
    asked = person.get(line.page).text
    line.answer("Beta", "Approved", XSS)
    id = line.newest()["pipelineExecutionId"]
    line.asked("Prod")
    line.api.stop_pipeline_execution(pipelineName="hostile", pipelineExecutionId=id, abandon=True, reason=XSS[:200])
    paths = ["/console/pipelines", line.page, f"{line.page}/{id}", f"{line.page}/executions"]
    texts = [asked, *(person.get(path).text for path in paths)]
    browser.go(server.url + login_path(server))
    found = []
    for path in paths:
        browser.go(server.url + path)
        found.append(browser.js("document.querySelectorAll('main img, main script, [onerror]').length"))
        assert browser.problems() == []

    assert found == [0] * len(paths)
    assert "&lt;script&gt;alert(1)" in texts[2]
    for text in texts:
        assert "<script>alert" not in text
        assert "<img" not in text
        assert 'href="javascript' not in text

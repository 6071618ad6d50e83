"""The console in a real browser: what is hostile does nothing, what is written is seen, what is pressed happens."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.browser import LIVE, Browser, needs_chromium, opened, page
from tests.console.coloured import LOG, RUNNING
from tests.console.test_pages import XSS
from tests.console.yard import NOW, REGION, Yard, build, project, queued

pytestmark = [needs_chromium, pytest.mark.slow]


def text_of(browser: Browser, line: int) -> str:
    text = browser.until(f"document.querySelector('#L{line} code')?.textContent")
    assert isinstance(text, str)
    return text


def test_a_hostile_log_is_text(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, initiator=XSS, sourceVersion=XSS))
    script = "</div></script><script>document.title='gone'</script>"
    hostile = f"{XSS}\n{script}\n\x1b[31m{XSS}\x1b[0m\n\x1b]8;;javascript:alert(1)\x07x\n"
    yard.log(yard.builds[0], hostile.encode())
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        shown = [text_of(browser, line) for line in range(1, 5)]
        title, markup = (
            browser.js("document.title"),
            browser.js("document.querySelectorAll('#rows script, img').length"),
        )
        problems = browser.problems()

    assert shown == [XSS, script, XSS, "x"]
    assert title == "✓ Succeeded · web #1 · Codeyard"
    assert markup == 0
    assert problems == []


def test_even_markup_that_got_in_would_run_nothing(browser: Browser, tmp_path: Path) -> None:
    """The policy, should the escaping ever fail."""
    yard = Yard(tmp_path)
    with yard.served() as url:
        opened(browser, url, "/console")
        browser.js(
            """globalThis.refused = 0;
               document.addEventListener('securitypolicyviolation', () => globalThis.refused++);
               for (const text of ["globalThis.ran = 1", ""]) {
                 const script = document.createElement('script');
                 script.textContent = text;
                 if (!text) script.src = '/console/static/0/log.js';
                 document.body.append(script);
               }
               document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="globalThis.ran = 2">')"""
        )
        browser.until("globalThis.refused >= 3")
        ran, problems = browser.js("globalThis.ran ?? null"), browser.problems()

    assert ran is None
    assert sum("Content Security Policy" in problem for problem in problems) >= 3


def test_colours_and_progress_lines_look_as_on_a_terminal(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1))
    yard.log(yard.builds[0], b"\x1b[31mred \x1b[1mbold\x1b[22m\n1%\r50%\r100%\r\n\x1b[38;5;208m256\x1b[0m\n"
             b"\x1b[38;2;10;200;30;4mtrue\x1b[0m plain\x1b[K\x1b[1A\x00\n\x1b[7minverse\x1b[27m\n")  # fmt: skip
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        shown = [text_of(browser, line) for line in range(1, 6)]
        classes = browser.js("[...document.querySelectorAll('#L1 span, #L4 span')].map(s => s.className)")
        colours = browser.js("[...document.querySelectorAll('#L3 span, #L4 span')].map(s => getComputedStyle(s).color)")

    assert shown == ["red bold", "100%", "256", "true plain", "inverse"]
    assert classes == ["f1", "bold f1", "under"]
    assert colours == ["rgb(255, 135, 0)", "rgb(10, 200, 30)"]


def test_phases_and_the_status_change_without_a_reload(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    log = yard.log(yard.builds[0], b"begins\n", closed=False)
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.until(LIVE)
        browser.js("globalThis.kept = true")
        done = build("web", 1)
        yard.builds[0].clear()
        yard.builds[0].update(done)
        yard.prints(log, 10, b"[Container] 2026/11/20 12:00:00.000000 Phase complete: BUILD State: SUCCEEDED\n")
        log.close()
        yard.tail.grew(log.run)
        browser.until("document.title.startsWith('✓ Succeeded')")
        browser.until("document.getElementById('retry') !== null")
        state = browser.until("document.getElementById('log-state').textContent === '' && 'over'")

        assert state == "over"
        assert browser.js("globalThis.kept") is True
        assert browser.js("document.querySelectorAll('#phases li').length") == 10


def test_buttons_work_and_a_second_click_starts_nothing_more(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.js("document.getElementById('stop').click()")
        browser.until("document.getElementById('retry') !== null")
        browser.js("document.getElementById('retry').click()")
        browser.until("document.title.startsWith('…')")
    operations = [operation for operation, _ in yard.asked if not operation.startswith(("List", "Batch"))]

    assert operations == ["StopBuild", "RetryBuild"]


def test_without_scripts_the_pages_can_be_read(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "FAILED"))
    yard.log(yard.builds[0], LOG)
    with yard.served() as url:
        browser.scripts(False)
        try:
            opened(browser, url, page(yard.builds[0]))
            shown = browser.js("document.querySelector('pre.lines').innerText")
        finally:
            browser.scripts(True)

    assert "AssertionError: 41 != 42" in shown


def scenes(data: Path) -> Iterator[tuple[str, Yard, str]]:
    """Each sort of page, with what is hard to show."""
    yield "empty", Yard(data / "empty"), "/console"
    busy = Yard(data / "busy")
    long = "a-name-that-is-as-long-as-a-name-may-be-" * 4
    busy.add(build(long[:150], 7, "IN_PROGRESS", 64, "BUILD", initiator="role/" + "x" * 60, sourceVersion="v" * 200))
    busy.add(*(queued("billing-api", 90 - at, at + 1) for at in range(30)))
    busy.add(*(build("web", number, ago=9000 - number) for number in range(1000, 0, -1)))
    busy.projects |= {name: project(name) for name in (f"service-{number:02}" for number in range(90))}
    busy.projects["web"]["description"] = "Words " * 80
    yield "busy", busy, "/console"
    yield "builds", busy, "/console/builds"
    yield "project", busy, f"/console/projects/{REGION}/web"
    yield "long-project", busy, f"/console/projects/{REGION}/{long[:150]}"
    yield "long-build", busy, page(busy.builds[0])
    failed = Yard(data / "failed")
    failed.add(build("billing-api", 16, "FAILED", 2000))
    failed.log(failed.builds[0], LOG)
    yield "failed", failed, page(failed.builds[0])
    running = Yard(data / "running")
    running.add(build("web", 112, "IN_PROGRESS", 64, "BUILD"))
    running.log(running.builds[0], RUNNING, closed=False)
    yield "running", running, page(running.builds[0])
    waiting = Yard(data / "queued")
    waiting.add(queued("billing-api", 20, 4))
    yield "queued", waiting, page(waiting.builds[0])
    yield "absent", Yard(data / "absent"), f"/console/projects/{REGION}/none"


# Text whose contrast with its ground is below 4.5 (WCAG 2.2, 1.4.3), with the ratio. What a build coloured is its own.
FAINT = """(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (part) => (part /= 255) <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  const light = ([red, green, blue]) => .2126 * linear(red) + .7152 * linear(green) + .0722 * linear(blue);
  const rgb = (text) => !text.startsWith('color(srgb') ? channels(text)
    : channels(text.slice(10)).map((part, at) => at < 3 ? part * 255 : part);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const found = rgb(getComputedStyle(element).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const element of document.querySelectorAll('body *')) {
    if (element.closest('svg, noscript, code span') || !element.checkVisibility()) continue;
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const both = [light(rgb(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(...both) + .05) / (Math.min(...both) + .05);
    const name = `${element.tagName}.${element.className} ${element.textContent.slice(0, 20)}`;
    if (ratio < 4.5) found.add(`${name} ${ratio.toFixed(2)}`);
  }
  return JSON.stringify([...found]);
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 360])
def test_every_page_fits_and_can_be_read(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    """Pictures of all of them are in $CODEYARD_TEST_SCREENSHOTS, if that is set."""
    pictures = Path(os.environ.get("CODEYARD_TEST_SCREENSHOTS") or tmp_path)
    wrong: list[tuple[str, object]] = []
    for name, yard, path in scenes(tmp_path):
        with yard.served() as url:
            opened(browser, url, path, width, dark)
            time.sleep(0.2)
            browser.picture(pictures / f"{name}-{width}-{'dark' if dark else 'light'}.png")
            wide = browser.js("document.documentElement.scrollWidth")
            faint = json.loads(browser.js(FAINT))
            problems = [each for each in browser.problems() if "404" not in each]
            wrong += [(name, each) for each in (wide if wide > width else None, faint, problems) if each]

    assert wrong == []


def test_lists_are_kept_up_to_date(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path, projects={"web": project("web")}, now=lambda: NOW)
    with yard.served() as url:
        opened(browser, url, f"/console/projects/{REGION}/web")
        before = browser.js("document.querySelectorAll('tbody tr').length")
        yard.add(build("web", 1))
        after = browser.until("document.querySelectorAll('tbody tr').length")

    assert (before, after) == (0, 1)


def test_a_link_on_another_site_leads_in_too(browser: Browser, tmp_path: Path) -> None:
    """Though the first request of it has no cookie."""
    yard = Yard(tmp_path)
    yard.add(build("web", 1))
    with yard.served() as url:
        opened(browser, url, "/console")
        browser.go(f"data:text/html,<a id=a href={url}{page(yard.builds[0])}>build</a>")
        browser.js("document.getElementById('a').click()")
        title = browser.until("document.title.includes('web') && document.title")

    assert title == "✓ Succeeded · web #1 · Codeyard"

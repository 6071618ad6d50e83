"""A build's log in a real browser: it comes as it is written, and the reader stays where the reader is."""

import time
from pathlib import Path
from statistics import median

import pytest

from tests.console.browser import LAST, LIVE, ROWS, Browser, needs_chromium, opened, page
from tests.console.coloured import LOG
from tests.console.yard import Yard, build

pytestmark = [needs_chromium, pytest.mark.slow]
# How long a question to the server and the frame after it take, in milliseconds.
ASKING = """(async () => {
  const began = performance.now();
  await (await fetch(`${document.getElementById('log').dataset.path}/log/part?count=1`)).json();
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
})()"""


def test_the_log_comes_as_it_is_written(browser: Browser, tmp_path: Path) -> None:
    """Pushed: it takes about as long as an answer and a frame, and not as long as until somebody looks again."""
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    log = yard.log(yard.builds[0], b"begins\n", closed=False)
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.until(LIVE)
        # The browser notes itself when a line is there: asking it takes time too.
        browser.js(
            """globalThis.seen = {};
               new MutationObserver(() => { for (const row of document.querySelectorAll('#rows code'))
                 globalThis.seen[row.textContent] ??= Date.now(); })
               .observe(document.getElementById('rows'), {childList: true, subtree: true}); 1"""
        )
        took, asking = [], []
        for number in range(20):
            asking.append(browser.js(ASKING))
            began = time.time() * 1000
            yard.prints(log, 10 + number, b"line %d\n" % number)
            took.append(browser.until(f"globalThis.seen['line {number}']") - began)
    log.close()

    assert median(took) < 10 * median(asking), (took, asking)


def test_a_million_lines_do_not_kill_the_page(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    log = yard.log(yard.builds[0], b"begins\n", closed=False)
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.until(LIVE)
        for start in range(0, 1_000_000, 100_000):
            yard.prints(
                log, 10, b"".join(b"\x1b[32mline\x1b[0m %d\n" % number for number in range(start, start + 100_000))
            )
        browser.until(f"{LAST} === 'line 999999'")
        kept, number = browser.js(ROWS), browser.js("document.querySelector('#rows .l:last-child').id")
        browser.js("document.getElementById('lines').scrollTop = 0")
        browser.until("!document.getElementById('jump').hidden")
        browser.js("document.getElementById('earlier').click()")
        browser.until(f"{ROWS} > {kept}")
        earlier = browser.js(ROWS)
        browser.js("location.hash = '#L500001'")
        linked = browser.until("document.querySelector('.target code')?.textContent")
        browser.js("document.getElementById('jump').click()")
        again = browser.until(f"{LAST} === 'line 999999' && {LAST}")
    log.close()

    assert 1000 <= kept <= 5000
    assert number == "L1000001"
    assert kept < earlier <= kept + 1000
    assert linked == "line 499999"
    assert again == "line 999999"


def test_a_reader_who_scrolled_up_is_left_there(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    log = yard.log(yard.builds[0], b"".join(b"line %d\n" % number for number in range(300)), closed=False)
    at = "document.getElementById('lines').scrollTop"
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.until(f"{ROWS} === 300 && {at} > 1000")
        browser.js(f"{at} = 500")
        browser.until("!document.getElementById('jump').hidden")
        yard.prints(log, 10, b"more\n")
        browser.until(f"{ROWS} === 301")
        stayed = browser.js(at)
        browser.js("document.getElementById('jump').click()")
        yard.prints(log, 20, b"and more\n")
        browser.until(f"{ROWS} === 302")
        lines = "document.getElementById('lines')"
        followed = browser.until(f"{lines}.scrollHeight - {lines}.scrollTop - {lines}.clientHeight < 3")
    log.close()

    assert stayed == 500
    assert followed


def test_the_end_is_followed_however_slowly_the_lines_come(browser: Browser, tmp_path: Path) -> None:
    """More than the page keeps, and so slowly that none are skipped."""
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    log = yard.log(yard.builds[0], b"begins\n", closed=False)
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.until(LIVE)
        for start in range(0, 24_000, 3000):
            yard.prints(log, 10, b"".join(b"line %d\n" % number for number in range(start, start + 3000)))
            browser.until(f"{LAST} === 'line {start + 2999}'")
        live, kept = browser.js(LIVE), browser.js(ROWS)
        hidden = browser.js("document.getElementById('jump').hidden")
    log.close()

    assert (live, hidden, kept) == (True, True, 5000)


@pytest.mark.parametrize("lines", [60_000, 600_000], ids=["sent", "skipped"])
def test_a_reader_who_scrolled_up_keeps_the_lines_though_very_many_come(
    browser: Browser, tmp_path: Path, lines: int
) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    log = yard.log(yard.builds[0], b"".join(b"line %d\n" % number for number in range(1, 301)), closed=False)
    at = "document.getElementById('lines').scrollTop"
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.until(f"{ROWS} === 300 && {at} > 1000")
        browser.js(f"{at} = 500")
        browser.until("!document.getElementById('jump').hidden")
        yard.prints(log, 10, b"".join(b"line %d\n" % number for number in range(301, 301 + lines)))
        browser.until("document.getElementById('log-state').textContent === 'paused'")
        stayed, first, kept = (
            browser.js(at),
            browser.js("document.querySelector('#L1 code').textContent"),
            browser.js(ROWS),
        )
        last = browser.js(LAST)
        browser.js("document.getElementById('later').click()")
        following = browser.until(f"document.querySelector('#L{kept + 1000} code')?.textContent")
    log.close()

    assert (stayed, first) == (500, "line 1")
    assert 300 <= kept <= 20_000
    assert last == f"line {kept}"
    assert following == f"line {kept + 1000}"


def test_phases_and_lines_have_addresses(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1))
    yard.log(yard.builds[0], LOG + b"filler\n" * 9000)
    with yard.served() as url:
        opened(browser, url, f"{page(yard.builds[0])}#phase-BUILD")
        phase = browser.until("document.querySelector('.target code')?.textContent")
        browser.js("document.querySelector('[data-phase=INSTALL]').click()")
        install = browser.until("document.querySelector('.target code')?.textContent.includes('INSTALL') && 'there'")

    assert phase.endswith("Entering phase BUILD")
    assert install == "there"


def test_the_loaded_lines_can_be_searched_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1))
    yard.log(yard.builds[0], LOG)
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.until(f"{ROWS} > 40")
        browser.key("/")
        for letter in "passed test":
            browser.key(letter)
        first = browser.until("document.getElementById('find-count').textContent")
        browser.key("Enter")
        second = browser.js("document.getElementById('find-count').textContent")
        now = browser.js("document.querySelector('.hit.now code').textContent")

    assert first.endswith(" / 24")
    assert second == f"{int(first.split()[0]) % 24 + 1} / 24"
    assert now.startswith("PASSED tests/test_")


def test_the_log_goes_on_when_the_server_comes_back(browser: Browser, tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    log = yard.log(yard.builds[0], b"one\n", closed=False)
    with yard.served() as url:
        opened(browser, url, page(yard.builds[0]))
        browser.until(LIVE)
        yard.prints(log, 10, b"two\n")
        browser.until(f"{LAST} === 'two'")
    log.prints(20, b"three\n")
    browser.until("document.getElementById('log-state').textContent.startsWith('reconnecting')")
    with yard.served(int(url.rpartition(":")[2])):
        browser.until(f"{LAST} === 'three'")
        lines = browser.js("[...document.querySelectorAll('#rows code')].map(line => line.textContent)")
    log.close()

    assert lines == ["one", "two", "three"]

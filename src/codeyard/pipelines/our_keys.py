"""The values of our own actions' configuration, Codeyard-Release and Codeyard-HTTP, as they are read. Pure.

Each reader gives None for a text that is not of its form, so that a definition and a running action judge alike.
"""

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from codeyard.deploys.waves import Minimum, Rule

_COUNT = re.compile(r"[0-9]{1,6}")
_SHARE = re.compile(r"([0-9]{1,2})%")
_NAMED = {
    "AllAtOnce": Minimum(Rule.HOST_COUNT, 0),
    "HalfAtATime": Minimum(Rule.FLEET_PERCENT, 50),
    "OneAtATime": Minimum(Rule.MOST_CONCURRENCY, 1),
}
_STATUS = re.compile(r"([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_CONTROL = re.compile("[\0-\x1f\x7f]")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110, token
_MOST_TAGS = 10


def tags(text: str) -> dict[str, str] | None:
    """Of `Key=Value,Key2=Value2`: what a target must have, all of it."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    found = {key.strip(): value.strip() for key, _, value in pairs}
    whole = all(key.strip() and equals for key, equals, _ in pairs) and len(found) == len(pairs) <= _MOST_TAGS
    return found if whole else None


def minimum(text: str) -> Minimum | None:
    """Of `2`, `50%` or a name: how many targets must be healthy all the time. CodeDeploy knows no share of 100 %."""
    share = _SHARE.fullmatch(text)
    if share is not None:
        return Minimum(Rule.FLEET_PERCENT, int(share[1]))
    return Minimum(Rule.HOST_COUNT, int(text)) if _COUNT.fullmatch(text) else _NAMED.get(text)


def statuses(text: str) -> tuple[range, ...] | None:
    """Of `200,202-299,3xx`: the status codes that are wanted."""
    matches = [_STATUS.fullmatch(each.strip()) for each in text.split(",")]
    found = [_status(match) for match in matches if match is not None]
    return tuple(found) if len(found) == len(matches) and all(found) else None


def headers(text: str) -> dict[str, str] | None:
    """Of a JSON object: names and values that a request may have."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(_HEADER.fullmatch(name) for name in found):
        return None
    if not all(isinstance(value, str) and not _CONTROL.search(value) for value in found.values()):
        return None
    return found


def is_url(text: str) -> bool:
    """Whether it is an http or https address; one with a password in it is not, because it would be shown."""
    try:
        found = urlsplit(text)
        sound = bool(found.hostname) and (found.port is None or found.port > 0) and found.username is None
    except ValueError:
        return False
    return sound and found.scheme in ("http", "https") and re.fullmatch("[!-~]+", text) is not None


def is_path(text: str) -> bool:
    """Whether it is an absolute path of a directory on a target, and not the root."""
    parts = text.split("/")[1:]
    return text.startswith("/") and any(parts) and not {"..", "."} & set(parts) and not _CONTROL.search(text)


def is_script(text: str) -> bool:
    """Whether it is the path of a file in the release."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return bool(parts) and ".." not in parts and not text.startswith("/") and not _CONTROL.search(text)


def _status(match: re.Match[str]) -> range:
    if match[1]:
        return range(int(match[1]) * 100, int(match[1]) * 100 + 100)
    return range(int(match[2]), int(match[3] or match[2]) + 1)


def _whole(least: int, most: int) -> tuple[Callable[[str], object], str]:
    def fits(text: str) -> bool:
        return re.fullmatch("[0-9]{1,9}", text, re.ASCII) is not None and least <= int(text) <= most

    return fits, f"a whole number from {least} to {most}"


_SCRIPT = (is_script, "the path of a script in the release")
# By key: whether a text is of its form, and what it must be.
RELEASE: Mapping[str, tuple[Callable[[str], object], str]] = {
    "Targets": (tags, f"Tag=Value, or up to {_MOST_TAGS} of them with commas between"),
    "Path": (is_path, "an absolute path below /, with no .. in it"),
    "Keep": _whole(1, 1000),
    "MinimumHealthy": (minimum, "a number, a percentage up to 99%, OneAtATime, HalfAtATime or AllAtOnce"),
    "BeforeSwitch": _SCRIPT,
    "AfterSwitch": _SCRIPT,
    "HealthCheck": (lambda text: is_url(text) or is_script(text), "a URL, or the path of a script in the release"),
    "HealthCheckSeconds": _whole(0, 3600),
    "HookTimeout": _whole(1, 3600),
}
HTTP: Mapping[str, tuple[Callable[[str], object], str]] = {
    "Url": (is_url, "an http or https URL with no password in it"),
    "Headers": (headers, "a JSON object of strings"),
    "Expect": (statuses, "status codes, such as 200,204 or 200-299 or 2xx"),
    "TimeoutSeconds": _whole(1, 3600),
}

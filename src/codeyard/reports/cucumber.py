"""Cucumber's JSON: one file → a case for each scenario. Written by cucumber-js up to 7, cucumber-jvm, Ruby, Behave."""

from collections.abc import Iterator, Mapping
from typing import Any

from codeyard.reports.document import read_json
from codeyard.reports.model import CaseStatus, ReportFormat, TestCase
from codeyard.reports.sniff import misfit

# From what weighs most: one step decides for its scenario.
_STATUSES: Mapping[str, CaseStatus] = {
    "failed": CaseStatus.FAILED,
    "error": CaseStatus.ERROR,
    "undefined": CaseStatus.ERROR,
    "ambiguous": CaseStatus.ERROR,
    "skipped": CaseStatus.SKIPPED,
    "pending": CaseStatus.SKIPPED,
    "passed": CaseStatus.SUCCEEDED,
}
_WEIGHT = {status: weight for weight, status in enumerate(_STATUSES)}
_UNKNOWN_WEIGHT = _WEIGHT["passed"] - 0.5  # worse than passed, better than anything that has a name
_LONGEST = 10**18  # nanoseconds


def parse_cucumber(data: bytes, path: str) -> Iterator[TestCase]:
    """The scenarios, each row of an outline's examples being one. Invalid as `parse_tests` says."""
    features = read_json(data, path)
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise misfit(ReportFormat.CUCUMBERJSON, data, path, "it is not a list of features")
    if not all(isinstance(feature.get("elements", []), list) for feature in features):
        raise misfit(ReportFormat.CUCUMBERJSON, data, path, "`elements` is not a list of scenarios")
    return (case for feature in features for case in _scenarios(feature, path))


def _scenarios(feature: dict[str, Any], path: str) -> Iterator[TestCase]:
    """A background stands before each scenario that it was run for, unless the tool has put its steps into it."""
    name = _text(feature, "name") or _text(feature, "uri") or _text(feature, "id")
    background: list[dict[str, Any]] = []
    for element in _dicts(feature.get("elements")):
        steps = _steps(element)
        if element.get("type") == "background":
            background = steps
        else:
            yield _scenario(element, background + steps, name, path)
            background = []


def _scenario(element: dict[str, Any], steps: list[dict[str, Any]], feature: str, path: str) -> TestCase:
    ran = [step for step in steps if _outcome(step)]
    worst = min(ran, key=lambda step: _WEIGHT.get(_outcome(step), _UNKNOWN_WEIGHT), default=None)
    outcome = _outcome(worst) if worst else _text(element, "status")  # Behave has one also for what never ran
    status = _STATUSES.get(outcome, CaseStatus.UNKNOWN)
    return TestCase(
        name=_text(element, "name") or _text(element, "id") or "(no name)",
        status=status,
        message=_message(worst, outcome) if worst and status is not CaseStatus.SUCCEEDED else "",
        suite=feature,
        prefix=feature,
        duration_ns=sum(_nanoseconds(_dict(step.get("result")).get("duration")) for step in steps),
        raw_path=path,
    )


def _steps(element: dict[str, Any]) -> list[dict[str, Any]]:
    """All that was run for it: hooks before, steps with hooks of their own, hooks after."""
    steps = []
    for step in _dicts(element.get("steps")):
        steps += [*_dicts(step.get("before")), step, *_dicts(step.get("after"))]
    return [*_dicts(element.get("before")), *steps, *_dicts(element.get("after"))]


def _outcome(step: dict[str, Any]) -> str:
    return _text(_dict(step.get("result")), "status").lower()


def _message(step: dict[str, Any], outcome: str) -> str:
    error = _dict(step.get("result")).get("error_message", "")
    lines = error if isinstance(error, list) else [error]  # Behave has a list of lines
    what = f"{_text(step, 'keyword').strip()} {_text(step, 'name')}".strip()
    return "\n".join([f"{outcome}: {what}" if what else outcome, *filter(None, map(_string, lines))])


def _nanoseconds(duration: object) -> int:
    """Cucumber counts nanoseconds; Behave seconds, with a fraction."""
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        return 0
    if isinstance(duration, float) and not duration.is_integer():  # nor is infinity, nor what is not a number
        duration = duration * 1_000_000_000
    return int(duration) if 0 <= duration <= _LONGEST else 0


def _text(of: dict[str, Any], key: str) -> str:
    return _string(of.get(key))


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

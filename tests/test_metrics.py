"""What a process counts can be read by Prometheus, and is in the docs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from codeyard.events import BuildEnded, CacheUsed, CommandStarted, PhaseEnded
from codeyard.metrics import Metrics

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def values(metrics: Metrics) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_a_build_is_counted_by_its_events() -> None:
    metrics = Metrics()
    heard = metrics.build(START)

    heard(PhaseEnded(at=START, phase="QUEUED", status="SUCCEEDED", code="", message="", seconds=2.0))
    heard(PhaseEnded(at=START, phase="BUILD", status="FAILED", code="X", message="", seconds=3.0))
    heard(CommandStarted(at=START + timedelta(seconds=0.5), phase="BUILD", index=0, command="true"))
    heard(CommandStarted(at=START + timedelta(seconds=9), phase="BUILD", index=1, command="true"))
    heard(CacheUsed(at=START, action="restore", hit=True, key="", files=1, bytes=1))
    heard(CacheUsed(at=START, action="save", hit=False, key="", files=1, bytes=1))
    heard(
        BuildEnded(at=START, build="a:b", status="FAULT", seconds=1, exported={}, resolved_source_version=None, log="")
    )

    found = values(metrics)
    assert found["codeyard_queue_wait_seconds_sum[]"] == 2.0
    assert found["codeyard_phase_seconds_sum['BUILD', 'FAILED']"] == 3.0
    assert (found["codeyard_start_seconds_sum[]"], found["codeyard_start_seconds_count[]"]) == (0.5, 1)
    assert found["codeyard_cache_lookups_total['yes']"] == 1
    assert (found["codeyard_builds_ended_total['FAULT']"], found["codeyard_errors_total['build']"]) == (1, 1)


def test_what_the_database_says_is_shown() -> None:
    metrics = Metrics()

    metrics.stored({"WAITING": 5, "RUNNING": 2}, workers=3)

    found = values(metrics)
    assert (found["codeyard_builds['WAITING']"], found["codeyard_workers[]"]) == (5, 3)


def test_each_metric_is_in_the_docs() -> None:
    text = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()

    families = text_string_to_metric_families(Metrics().text().decode())
    names = {family.name for family in families if not family.name.endswith("_created")}  # when a counter was made
    assert [name for name in names if name not in text] == []

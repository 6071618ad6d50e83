"""What a process counts, for Prometheus: fed by the events of its builds, asked for at `/metrics`.

What the database knows (how many builds wait, run, or ended how) is read when it is asked for, so that every process
tells the same; the rest is of this process alone. docs/metrics.md lists all.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from codeyard.events import BuildEnded, CacheUsed, CommandStarted, Event, PhaseEnded

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_LONG = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400)


class Metrics:
    """The counters of one process. Any thread may feed them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._builds = Gauge("codeyard_builds", "Builds that wait or run.", ["standing"], registry=self.registry)
        self._executions = Gauge(
            "codeyard_pipeline_executions", "Executions of pipelines that are under way.", registry=self.registry
        )
        self._workers = Gauge("codeyard_workers", "Workers that are alive.", registry=self.registry)
        self._ended = Counter("codeyard_builds_ended", "Builds that ended here.", ["status"], registry=self.registry)
        self._phases = Histogram(
            "codeyard_phase_seconds",
            "How long phases took.",
            ["phase", "status"],
            buckets=_LONG,
            registry=self.registry,
        )
        self._waited = Histogram(
            "codeyard_queue_wait_seconds", "From the start call to a worker.", buckets=_LONG, registry=self.registry
        )
        self._latency = Histogram(
            "codeyard_start_seconds",
            "From the start call to the first command.",
            buckets=_SHORT,
            registry=self.registry,
        )
        self._caches = Counter("codeyard_cache_lookups", "Caches looked up.", ["hit"], registry=self.registry)
        self._lag = Gauge("codeyard_log_lag_bytes", "Printed by builds and not yet in a log.", registry=self.registry)
        self._calls = Counter(
            "codeyard_api_calls", "API calls answered.", ["service", "operation", "code"], registry=self.registry
        )
        self._call_seconds = Histogram(
            "codeyard_api_seconds", "How long API calls took.", ["service"], buckets=_SHORT, registry=self.registry
        )
        self._dropped = Counter(
            "codeyard_events_dropped", "Pipelines' events nobody took.", ["reason"], registry=self.registry
        )
        self._errors = Counter("codeyard_errors", "Faults of ours.", ["where"], registry=self.registry)

    def build(self, started: datetime) -> Callable[[Event], None]:
        """A listener for the events of one build, whose start was asked for at `started`."""
        commanded = False

        def heard(event: Event) -> None:
            nonlocal commanded
            match event:
                case PhaseEnded(phase="QUEUED", seconds=seconds):
                    self._waited.observe(seconds)
                case PhaseEnded(phase=phase, status=status, seconds=seconds):
                    self._phases.labels(phase, status).observe(seconds)
                case CommandStarted(at=at) if not commanded:
                    commanded = True
                    self._latency.observe(max(0.0, (at - started).total_seconds()))
                case CacheUsed(action="restore", hit=hit):
                    self._caches.labels("yes" if hit else "no").inc()
                case BuildEnded(status=status):
                    self._ended.labels(status).inc()
                    if status == "FAULT":
                        self._errors.labels("build").inc()

        return heard

    def called(self, service: str, operation: str, code: str, seconds: float) -> None:
        """An API call was answered; `code` is the error's, or OK."""
        self._calls.labels(service, operation, code).inc()
        self._call_seconds.labels(service).observe(seconds)

    def failed(self, where: str) -> None:
        """Something of ours went wrong there."""
        self._errors.labels(where).inc()

    def event_dropped(self, reason: str) -> None:
        """An event of a pipeline is not sent any more: it was `refused`, or it `expired`."""
        self._dropped.labels(reason).inc()

    def stored(self, by_standing: Mapping[str, int], workers: int, executions: int = 0) -> None:
        """What the database says now."""
        self._executions.set(executions)
        for standing, count in by_standing.items():
            self._builds.labels(standing).set(count)
        self._workers.set(workers)

    def lag(self, bytes_: int) -> None:
        """How far the logs of this process's builds are behind what they printed."""
        self._lag.set(bytes_)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)

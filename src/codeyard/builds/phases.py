"""What may follow what in the life of a build (reference 2.2–2.4). Pure: old value and event in, new value out."""

from dataclasses import replace
from datetime import datetime

from codeyard.builds.buildspec import FailureAction
from codeyard.builds.model import Build, Context, Outcome, Phase, PhaseRecord, Status
from codeyard.errors import Conflict
from codeyard.ident import BuildId

_ORDER = tuple(Phase)
# After a failed BUILD, POST_BUILD and UPLOAD_ARTIFACTS still run, so that its debris can be studied (reference 2.3).
_STILL_RUN_AFTER_FAILURE = {Phase.BUILD: Phase.POST_BUILD, Phase.POST_BUILD: Phase.UPLOAD_ARTIFACTS}
_NEVER_PROVISIONED = {Phase.SUBMITTED, Phase.QUEUED}
_WITHOUT_CONTEXT = {Phase.SUBMITTED, Phase.QUEUED}


def submit(id: BuildId, now: datetime) -> Build:
    """A build whose request was accepted: it waits in the queue."""
    submitted = PhaseRecord(Phase.SUBMITTED, now, now, Status.SUCCEEDED)
    return Build(id=id, phase=Phase.QUEUED, phase_started=now, started=now, history=(submitted,))


def finish_phase(build: Build, outcome: Outcome, now: datetime, *, on_failure: FailureAction | None = None) -> Build:
    """The build once its current phase has ended so; `on_failure` is what the buildspec says of it. Conflict."""
    if build.phase is Phase.COMPLETED:
        raise Conflict(f"build {build.id}", "it has already completed.", "Start a new build.")
    contexts = () if build.phase in _WITHOUT_CONTEXT else (outcome.context,)
    record = PhaseRecord(build.phase, build.phase_started, now, outcome.status, contexts)
    status = outcome.status if build.status is Status.IN_PROGRESS and not outcome.ok else build.status
    phase = _next(build.phase, outcome.status, on_failure)
    ended = None
    if phase is Phase.COMPLETED:
        ended = now
        status = Status.SUCCEEDED if status is Status.IN_PROGRESS else status
    return replace(build, phase=phase, phase_started=now, status=status, history=(*build.history, record), ended=ended)


def _next(phase: Phase, status: Status, on_failure: FailureAction | None) -> Phase:
    following = _ORDER[_ORDER.index(phase) + 1]
    if status is Status.SUCCEEDED or phase is Phase.FINALIZING:
        return following
    if phase in _NEVER_PROVISIONED:
        return Phase.COMPLETED
    if status is Status.FAILED and on_failure is FailureAction.CONTINUE:
        return following
    if status is Status.FAILED and on_failure is not FailureAction.ABORT:
        return _STILL_RUN_AFTER_FAILURE.get(phase, Phase.FINALIZING)
    return Phase.FINALIZING


def timed_out() -> Outcome:
    # The trailing space is AWS's.
    return Outcome(Status.TIMED_OUT, Context("BUILD_TIMED_OUT", "Build has timed out. "))

"""What the commands ask a server for: projects, builds and logs, as any AWS client would."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from codeyard.errors import Invalid, NotFound

_ID = re.compile(r"(?:arn:[^:]+:codebuild:[^:]*:[^:]*:build/)?([A-Za-z0-9][A-Za-z0-9_-]{1,149}):([0-9a-f-]{1,36})")
_AT_ONCE = 100
Build = dict[str, Any]


def pages(ask: Any, key: str, **given: Any) -> Iterator[Any]:
    """The items of a list operation, page after page."""
    token: str | None = None
    while True:
        answer = ask(**given, **({"nextToken": token} if token else {}))
        yield from answer.get(key, ())
        token = answer.get("nextToken")
        if not token:
            return


def json_line(item: Any) -> str:
    """What a server answered, on a line, its times as machines read them."""
    return json.dumps(item, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value))


def recent(codebuild: Any, project: str | None, limit: int) -> list[Build]:
    """The newest builds, of one project or of all."""
    if project is None:
        ids = pages(codebuild.list_builds, "ids", sortOrder="DESCENDING")
    else:
        ids = pages(codebuild.list_builds_for_project, "ids", projectName=project, sortOrder="DESCENDING")
    return list(load(codebuild, [id for _, id in zip(range(limit), ids, strict=False)]))


def newest(codebuild: Any, projects: list[str]) -> dict[str, Build]:
    """The newest build of each project that has any."""
    found: dict[str, Build] = {}
    for build in recent(codebuild, None, _AT_ONCE) if projects else ():
        found.setdefault(build["projectName"], build)
    ids = []
    for project in projects:  # one question to each that did not build lately
        if project not in found:
            ids += codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"][:1]
    return found | {build["projectName"]: build for build in load(codebuild, ids)}


def load(codebuild: Any, ids: list[str]) -> Iterator[Build]:
    """The builds of these ids that there are, in their order."""
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        found = {build["id"]: build for build in codebuild.batch_get_builds(ids=part)["builds"]}
        yield from (found[id] for id in part if id in found)


def find(codebuild: Any, name: str) -> Build:
    """The build that an id, an ARN, `project:beginning-of-uuid` or a project (its newest build) means. NotFound."""
    match = _ID.fullmatch(name)
    if match is None:
        builds = recent(codebuild, name, 1)
        if not builds:
            raise NotFound(f"build {name!r}", "the project has no builds.", f"Start one: codeyard start {name}")
        return builds[0]
    project, run = match.groups()
    if len(run) == 36:
        found = codebuild.batch_get_builds(ids=[f"{project}:{run}"])["builds"]
        if not found:
            raise NotFound(f"build {name!r}", "there is no such build.", f"See: codeyard builds {project}")
        build: Build = found[0]
        return build
    ids = [id for id in pages(codebuild.list_builds_for_project, "ids", projectName=project)
           if id.startswith(f"{project}:{run}")]  # fmt: skip
    if not ids:
        raise NotFound(f"build {name!r}", "no build begins so.", f"See: codeyard builds {project}")
    if len(ids) > 1:
        raise Invalid(f"build {name!r}", f"{len(ids)} builds begin so.", "Give more of the id.")
    return next(load(codebuild, ids))


def exit_code(build: Build) -> int:
    """0, 1, 2 or 3, as `codeyard run` would end."""
    status = build["buildStatus"]
    if status == "SUCCEEDED":
        return 0
    if status == "FAULT":
        return 3
    failed = (phase["phaseType"] for phase in build.get("phases", ())
              if phase.get("phaseStatus") not in (None, "SUCCEEDED"))  # fmt: skip
    return 2 if status == "FAILED" and next(failed, "") in ("PROVISIONING", "DOWNLOAD_SOURCE") else 1


def waiting_for(build: Build) -> str:
    """Why a build that is queued has not begun; "" if it has."""
    phase = build.get("phases", [{}])[-1]
    contexts = phase.get("contexts") or [{}]
    return contexts[0].get("message", "") if phase.get("phaseType") == "QUEUED" else ""


def took(build: Build) -> float:
    """Seconds from its start until its end, or until now."""
    ended = build.get("endTime") or datetime.now(UTC)
    return max(0.0, (ended - build["startTime"]).total_seconds()) if build.get("startTime") else 0.0

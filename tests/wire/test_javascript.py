"""The AWS SDK for JavaScript, in JSON, which it speaks to CodeBuild by itself, and in CBOR, which it speaks when told.

CODEYARD_TEST_JAVASCRIPT names the directory of a `node_modules` with it: npm install --prefix DIR
@aws-sdk/client-codebuild
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from codeyard.aws import Call, Service, Shape, operation
from codeyard.aws.gateway import Gateway
from codeyard.errors import NotFound
from tests.calls import REGION
from tests.wire.served import KEY_ID, SECRET, RootOnly, serving

_ROOT = os.environ.get("CODEYARD_TEST_JAVASCRIPT", "")
_NODE = shutil.which("node")
_SDK = Path(_ROOT, "node_modules", "@aws-sdk", "client-codebuild")
STARTED = datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)
SCRIPT = """
const sdk = await import("@aws-sdk/client-codebuild");
const { AwsSmithyRpcV2CborProtocol } = await import("@aws-sdk/core/protocols");
const real = Date.now;
Date.now = () => real() + Number(process.env.CLOCK_OFF);
const client = new sdk.CodeBuild(process.env.PROTOCOL === "cbor" ? { protocol: AwsSmithyRpcV2CborProtocol } : {});
let sent = "";
client.middlewareStack.add((next) => (given) => { sent = given.request.headers["content-type"]; return next(given); },
  { step: "finalizeRequest", priority: "low" });
const { build } = await client.startBuild({ projectName: "here", timeoutInMinutesOverride: 60,
  environmentVariablesOverride: [{ name: "É", value: "" }] });
let error = null;
try { await client.startBuild({ projectName: "absent" }); } catch (raised) { error = raised; }
const ids = [];
for await (const page of sdk.paginateListBuilds({ client }, {})) ids.push(...page.ids);
console.log(JSON.stringify({ sent, build, ids, date: build.startTime instanceof Date,
  exactly: build.startTime.getTime(), modelled: error instanceof sdk.ResourceNotFoundException,
  status: error.$metadata.httpStatusCode }));
"""


class Builds:
    """Answers with all kinds of values."""

    @operation("StartBuild")
    async def start_build(self, call: Call) -> Shape:
        if call.input["projectName"] == "absent":
            raise NotFound("project absent", "it is not there.", "Create it.")
        variables = call.input["environmentVariablesOverride"]
        timeout = call.input["timeoutInMinutesOverride"]
        return {
            "build": {
                "id": "here:1", "startTime": STARTED, "buildComplete": False, "timeoutInMinutes": timeout,
                "environment": {"environmentVariables": variables}, "endTime": None,
            }
        }  # fmt: skip

    @operation("ListBuilds")
    async def list_builds(self, call: Call) -> Shape:
        first = call.input.get("nextToken") is None
        return {"ids": ["a"] if first else ["b"], "nextToken": "more" if first else None}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    codebuild = Service("codebuild", (Builds(),), {NotFound: "ResourceNotFoundException"}, other="it is to come.")
    with serving(Gateway((codebuild,), RootOnly(), lambda: datetime.now(UTC))) as served:
        yield served


def told(url: str, protocol: str, clock_off: float = 0) -> dict[str, Any]:
    """What the script saw."""
    assert _NODE is not None
    environment = {
        "PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET, "PROTOCOL": protocol, "CLOCK_OFF": str(clock_off * 1000),
    }  # fmt: skip
    ran = subprocess.run(
        [_NODE, "--no-warnings", "--input-type=module", "--eval", SCRIPT],
        cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.skipif(_NODE is None or not _SDK.is_dir(), reason="CODEYARD_TEST_JAVASCRIPT names no AWS SDK, or no node")
@pytest.mark.parametrize(
    ("protocol", "clock_off"),
    [("json", 0), ("cbor", 0), ("json", 3600), ("json", -3600), ("cbor", 3600), ("cbor", -3600)],
)
def test_the_sdk_for_javascript_reads_its_own_types_in_both_protocols(url: str, protocol: str, clock_off: int) -> None:
    """Whatever its clock says: a refusal tells it ours, by which it asks again."""
    saw = told(url, protocol, clock_off)

    assert saw["sent"] == {"json": "application/x-amz-json-1.1", "cbor": "application/cbor"}[protocol]
    assert (saw["date"], saw["exactly"]) == (True, STARTED.timestamp() * 1000)
    assert saw["build"]["environment"] == {"environmentVariables": [{"name": "É", "value": ""}]}
    assert (saw["build"]["timeoutInMinutes"], saw["build"]["buildComplete"]) == (60, False)
    assert "endTime" not in saw["build"]
    assert saw["ids"] == ["a", "b"]
    assert (saw["modelled"], saw["status"]) == (True, 400)

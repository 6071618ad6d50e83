"""Lists, state and starts of a pipeline with 100,000 executions stored, against the same with a thousand, in turn.

    python -m bench.pipelines_stored [--rows N] [--calls N]

On SQLite, and on PostgreSQL where CODEYARD_TEST_POSTGRESQL names a database from which others can be made. The rows are
copies of an execution that really ran, and of its action executions: a source and two stages.
"""

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url

from bench.million import database
from bench.pipelines_overhead import empty_zip
from bench.pipelines_served import action, definition, ended, prepare, put_source, until
from bench.report import heading, left_out, line, middle, ms
from bench.serving import Server, serving
from codeyard.store.engine import SqlDatabase

_FEW = 1000
_BAR = 2.0
_NAME = "stored"
_STAGES = 2
_RULES = ("Rule", "AWS", "VariableCheck")
_EXECUTION = "account, region, pipeline, version, live, status, progress, facts"
_RUN = "account, region, pipeline, stage, name, moment, status, runner, generation, deadline, data, answers"


def main() -> None:
    """Run everything and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-") as place:
        heading(f"{options.rows:,} executions of a pipeline stored, against {_FEW:,}: SQLite")
        _compare(Path(place) / "sqlite", options.rows, options.calls, None)
        heading(f"{options.rows:,} executions of a pipeline stored, against {_FEW:,}: PostgreSQL")
        postgresql = os.environ.get("CODEYARD_TEST_POSTGRESQL")
        if postgresql:
            _compare(Path(place) / "postgresql", options.rows, options.calls, postgresql)
        else:
            left_out("PostgreSQL", "CODEYARD_TEST_POSTGRESQL names no database")


def _compare(place: Path, rows: int, calls: int, postgresql: str | None) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(_filled(place / str(each), each, postgresql)) for each in (_FEW, rows)]
        _calls(both, calls)


@contextmanager
def _filled(place: Path, rows: int, postgresql: str | None) -> Iterator[Server]:
    """A server with a pipeline that so many executions have ended of."""
    with database(place, postgresql) as url:
        with serving(place, "--executor", "process", "--unsafe-process", "--database", url) as server:
            prepare(server)
            rule = {"name": "Always", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck",
                    "version": "1"}, "configuration": {"Variable": "#{codepipeline.PipelineExecutionId}",
                    "Operator": "NE", "Value": "none"}}  # fmt: skip
            source = put_source(server, empty_zip())
            ask = action("Ask", ("Approval", "AWS", "Manual"), {})
            made = definition(_NAME, {"Source": [source], "One": [ask], "Two": [{**ask, "name": "Again"}]})
            made["stages"][1]["beforeEntry"] = {"conditions": [{"result": "FAIL", "rules": [rule]}]}
            client = server.boto("codepipeline")
            client.create_pipeline(pipeline=made)
            id = until("it has begun", lambda: _executions(client))[0]["pipelineExecutionId"]
            for _ in range(_STAGES):
                _approve(client)
            ended(client, _NAME, id)
        began = time.perf_counter()
        _fill(url, rows)
        if rows > _FEW:
            print(f"  (filled in {time.perf_counter() - began:.0f} s)")
        with serving(place, "--database", url, command="serve") as server:
            yield server


def _executions(client: Any) -> list[Any]:
    return list(client.list_pipeline_executions(pipelineName=_NAME, maxResults=1)["pipelineExecutionSummaries"])


def _approve(client: Any) -> float:
    """Answer the approval that waits, once it does; seconds that the answer took."""

    def look() -> tuple[str, str, str] | None:
        for stage in client.get_pipeline_state(name=_NAME)["stageStates"]:
            for each in stage["actionStates"]:
                latest = each.get("latestExecution") or {}
                if latest.get("status") == "InProgress" and latest.get("token"):
                    return stage["stageName"], each["actionName"], latest["token"]
        return None

    stage, name, token = until("it asks", look, pause=0.01)
    began = time.perf_counter()
    client.put_approval_result(pipelineName=_NAME, stageName=stage, actionName=name, token=token,
                               result={"status": "Approved", "summary": ""})  # fmt: skip
    return time.perf_counter() - began


# ── rows ──


def _fill(url: str, rows: int) -> None:
    """Copies of the one execution that is there, older than it, a minute apart: so it stays the latest."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(make_url(url).database or "", isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")
            for statement in _statements(rows, "printf('%08x-0000-4000-8000-%012x', {0}, i)",
                                         f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                                         f"{rows}) SELECT i FROM n)"):  # fmt: skip
                db.execute(statement)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    store = SqlDatabase(url)
    try:
        with store.engine.begin() as tx:
            id = "lpad(to_hex({0}), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(i), 12, '0')"
            for statement in _statements(rows, id, f"(SELECT generate_series(1, {rows}) AS i)"):
                tx.execute(text(statement))
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    finally:
        store.close()


def _statements(rows: int, id: str, numbers: str) -> list[str]:
    """`id` makes one of a number and `i`; `numbers` is a table of i."""
    older = "- i * CAST(60000000 AS BIGINT)"
    first = id.format("1")
    return [
        f"INSERT INTO pipeline_runs (id, execution, started, updated, {_RUN}) SELECT {id.format('place')}, {first}, "
        f"started {older}, updated {older}, {_RUN} FROM {numbers} AS n, "
        "(SELECT *, row_number() OVER (ORDER BY started) + 100 AS place FROM pipeline_runs) AS one",
        f"INSERT INTO pipeline_executions (id, number, started, updated, {_EXECUTION}) SELECT {first}, "
        f"number - i, started {older}, updated {older}, {_EXECUTION} "
        f"FROM {numbers} AS n, (SELECT * FROM pipeline_executions) AS one",
        f"INSERT INTO pipeline_successes (execution, stage) SELECT {first}, stage "
        f"FROM {numbers} AS n, (SELECT * FROM pipeline_successes) AS one",
    ]


# ── calls ──


def _calls(servers: list[Server], calls: int) -> None:
    clients = [server.client() for server in servers]
    botos = [server.boto("codepipeline") for server in servers]
    here = {"pipelineName": _NAME}
    ids = [
        boto.list_pipeline_executions(**here)["pipelineExecutionSummaries"][50]["pipelineExecutionId"] for boto in botos
    ]
    deep = [_page(boto, 5) for boto in botos]
    first = [_action_token(boto) for boto in botos]
    asked: dict[str, tuple[str, list[Mapping[str, Any]]]] = {
        "ListPipelineExecutions": ("ListPipelineExecutions", [here] * 2),
        "ListPipelineExecutions, sixth page": (
            "ListPipelineExecutions", [{**here, "nextToken": each} for each in deep]),
        "ListPipelineExecutions, of a stage": (
            "ListPipelineExecutions", [{**here, "filter": {"succeededInStage": {"stageName": "Two"}}}] * 2),
        "GetPipelineState": ("GetPipelineState", [{"name": _NAME}] * 2),
        "GetPipelineExecution": ("GetPipelineExecution", [{**here, "pipelineExecutionId": each} for each in ids]),
        "ListActionExecutions": ("ListActionExecutions", [here] * 2),
        "ListActionExecutions, next page": ("ListActionExecutions", [{**here, "nextToken": each} for each in first]),
        "ListActionExecutions, of one": (
            "ListActionExecutions", [{**here, "filter": {"pipelineExecutionId": each}} for each in ids]),
        "ListRuleExecutions": ("ListRuleExecutions", [here] * 2),
        "ListPipelines": ("ListPipelines", [{}] * 2),
        "StartPipelineExecution": ("StartPipelineExecution", [{"name": _NAME}] * 2),
    }  # fmt: skip
    for what, (operation, given) in asked.items():
        prepared = [
            client.prepare("codepipeline", operation, each) for client, each in zip(clients, given, strict=True)
        ]
        taken: list[list[float]] = [[], []]
        for _ in range(calls if operation != "StartPipelineExecution" else min(calls, 20)):
            for client, request, times in zip(clients, prepared, taken, strict=True):
                began = time.perf_counter()
                client.send(request)
                times.append(time.perf_counter() - began)
        few, many = middle(taken[0]), middle(taken[1])
        line(what, ms(many), f"{many / few:.2f} × {ms(few)}", "≤ 2 ×", many <= _BAR * few)


def _page(client: Any, pages: int) -> str:
    """The token of the page after so many of a hundred."""
    token: dict[str, str] = {}
    for _ in range(pages):
        token = {"nextToken": client.list_pipeline_executions(pipelineName=_NAME, **token)["nextToken"]}
    return token["nextToken"]


def _action_token(client: Any) -> str:
    return str(client.list_action_executions(pipelineName=_NAME)["nextToken"])


if __name__ == "__main__":
    main()

"""Say what the newest build beneath a state directory made: artifacts with digests, reports, and its log."""

import json
import os
import sys
from pathlib import Path

NOT_ISOLATED = ", which isolates nothing; .venv/bin/codeyard doctor says how to get one that does"


def main(state: Path) -> None:
    """Read the build's events, as docs/events.md has them."""
    newest = max((state / "runs").glob("*/events.jsonl"), key=lambda path: path.stat().st_mtime)
    for event in map(json.loads, newest.read_text().splitlines()):
        match event:
            case {"event": "build_started", "executor": executor}:
                print(f"  executor  {executor}{NOT_ISOLATED if executor == 'process' else ''}")
            case {"event": "report_made", "line_coverage": None, "counts": counts}:
                print(f"  tests     {counts.get('SUCCEEDED', 0)} of {event['total']} passed")
            case {"event": "report_made"}:
                print(f"  coverage  {event['line_coverage']:.1f} % of lines")
            case {"event": "cache_used", "action": "restore"}:
                print(f"  cache     {'hit' if event['hit'] else 'miss; the next run finds what this one kept'}")
            case {"event": "artifact_made"}:
                files = f"{event['files']} file{'' if event['files'] == 1 else 's'}"
                print(f"  artifact  {os.path.relpath(event['location'])}  {files}")
                print(f"            {event['digest']}")
            case {"event": "build_ended"}:
                for name, value in event["exported"].items():
                    print(f"  exported  {name}={value}")
                print(f"  log       {os.path.relpath(event['log'])}")
            case _:
                pass


main(Path(sys.argv[1]))

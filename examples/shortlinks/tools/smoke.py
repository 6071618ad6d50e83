"""Start the packed application as a user would, make a link and follow it. Exit 1 if that fails."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

URL = "https://example.com/made-by-the-smoke-test"


def main(archive: Path) -> None:
    """Run the checks against a server of our own, on a free port."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, str(archive), "--port", "0", "--database", f"{scratch}/links.sqlite"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert server.stdout is not None
            base = server.stdout.readline().split()[-1]
            health = json.load(urllib.request.urlopen(f"{base}healthz", timeout=10))
            body = json.dumps({"url": URL}).encode()
            link = json.load(urllib.request.urlopen(f"{base}api/links", body, timeout=10))
        finally:
            server.terminate()
            server.communicate()
    assert health["status"] == "ok", health
    assert link["url"] == URL, link
    print(f"{archive.name} {health['version']} serves: {link['url']} is now /{link['slug']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

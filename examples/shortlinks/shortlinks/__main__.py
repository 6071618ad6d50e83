"""`python3 -m shortlinks`, or `python3 shortlinks.pyz`: serve the links of one file."""

import argparse
import socketserver
from pathlib import Path
from wsgiref.simple_server import WSGIServer, make_server

from shortlinks import __version__
from shortlinks.store import Store
from shortlinks.web import application


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="shortlinks", description="Short links for a team.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--database", type=Path, default=Path("shortlinks.sqlite"))
    options = parser.parse_args()
    with make_server(options.host, options.port, application(Store(options.database)), server_class=_Server) as server:
        print(f"Serving on http://{options.host}:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()

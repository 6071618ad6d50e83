"""What a server costs that has nothing to do.

python -m bench.idle [--seconds N] [--settle N]
"""

import argparse
import tempfile
import time
from pathlib import Path

from bench.report import heading, line
from bench.serving import serving

_CPU, _MEMORY = 0.01, 150e6


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--settle", type=float, default=65.0, help="what a start leaves behind is over after these")
    options = parser.parse_args()
    heading(f"An idle server, {options.seconds:g} seconds, {options.settle:g} after its start")
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-") as place, serving(Path(place) / "data") as server:
        time.sleep(options.settle)
        before, written = server.cpu(), _written(server.pid)
        time.sleep(options.seconds)
        share = (server.cpu() - before) / options.seconds
        wrote = _written(server.pid) - written
        memory = server.memory()
    line("processor", f"{share:.2%}", "of one core", "< 1 %, aim 0.3 %", share < _CPU)
    line("memory, resident", f"{memory / 1e6:.0f} MB", "", "150 MB, aim 100 MB", memory <= _MEMORY)
    line("written to the disk", f"{wrote / 1024 / options.seconds:.1f} KiB/s")


def _written(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(each.split()[1]) for each in lines if each.startswith("write_bytes:"))


if __name__ == "__main__":
    main()

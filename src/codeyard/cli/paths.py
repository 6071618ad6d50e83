"""Where Codeyard keeps its things on this machine."""

import os
from pathlib import Path


def state_directory() -> Path:
    """`$CODEYARD_HOME`, else `$XDG_STATE_HOME/codeyard`, else `~/.local/state/codeyard`. It need not exist yet."""
    if chosen := os.environ.get("CODEYARD_HOME"):
        return Path(chosen).absolute()
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "codeyard").absolute()

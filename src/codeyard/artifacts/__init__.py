"""What a build made, and what it keeps for the next one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of a source tree are meant, as a buildspec's `artifacts` and `reports` blocks say it (1.8)."""

    files: tuple[str, ...]
    base_directory: str | None = None
    exclude_paths: tuple[str, ...] = ()
    discard_paths: bool = False
    enable_symlinks: bool = False

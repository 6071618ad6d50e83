"""What is set for a machine, in settings.json beside the program."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    word: str = "Hello"
    nobody: str = "whoever you are"

    @classmethod
    def load(cls, path: Path) -> Self:
        """ValueError, if it is no JSON object of these; TypeError, if it has others."""
        found = cls(**json.loads(path.read_text()))
        if not found.word or not found.nobody:
            raise ValueError(f"{path}: a setting is empty")
        return found

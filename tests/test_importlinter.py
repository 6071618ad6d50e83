"""What modules say of themselves, .importlinter holds them to."""

import ast
import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)


def test_every_module_that_calls_itself_pure_is_held_to_it() -> None:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    held = set(contracts["importlinter:contract:pure"]["source_modules"].split())

    said = {
        _name(path)
        for path in (ROOT / "src/codeyard").rglob("*.py")
        if re.search(r"\bPure\b|\bdoes no I/O\b", ast.get_docstring(ast.parse(path.read_text())) or "")
    }

    assert said - held == set()
    assert len(said) > 30

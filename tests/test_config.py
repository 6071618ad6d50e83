"""Settings come from four places, in order, and each wrong one is named."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from codeyard.config import Config, OverLimit
from codeyard.errors import Invalid

ROOT = Path(__file__).parents[1]
SOURCES: dict[str, Any] = {"repositories": "*=https://git.example/{repository} codecommit", "poll_sources": 0.5}


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "codeyard.toml").write_text('region = "eu-west-1"\nworkers = 3\nlisten = "127.0.0.1:1"\n')
    environment = {"CODEYARD_WORKERS": "2", "CODEYARD_LISTEN": "127.0.0.1:2"}

    config = Config.load(tmp_path, {"listen": "127.0.0.1:3", "database": None}, environment)

    assert (config.region, config.workers, config.listen, config.account) == ("eu-west-1", 2, "127.0.0.1:3", "0" * 12)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        Config(data=tmp_path, listen="nowhere", account="1", executor="process", cpus=-1, lease=0, **SOURCES)

    for part in ("listen", "account", "unsafe_process", "cpus", "lease", "repositories, pair 2,", "poll_sources"):
        assert part in refused.value.why


@pytest.mark.parametrize(
    ("name", "value"),
    [("CODEYARD_WORKERS", "many"), ("CODEYARD_CONSOLE", "perhaps"), ("CODEYARD_OVER_LIMIT", "explode")],
)
def test_a_value_of_another_kind_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(Invalid, match=value):
        Config.load(tmp_path, {}, {name: value})


def test_a_bucket_without_its_endpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="bucket needs objects"):
        Config.load(tmp_path, {}, {"CODEYARD_BUCKET": "s3://kept/here"})


def test_a_setting_that_there_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "codeyard.toml").write_text("wrokers = 3\n")

    with pytest.raises(Invalid, match="wrokers"):
        Config.load(tmp_path, {}, {})


def test_texts_become_what_they_mean(tmp_path: Path) -> None:
    config = Config.load(
        tmp_path, {}, {"CODEYARD_OVER_LIMIT": "refuse", "CODEYARD_CONSOLE": "off", "CODEYARD_CPUS": "1.5"}
    )

    assert (config.over_limit, config.console, config.cpus) == (OverLimit.REFUSE, False, 1.5)


def test_each_setting_is_in_the_docs_with_its_sentence() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()

    assert [each.name for each in fields(Config) if f"| `{each.name}` |" not in text] == []
    assert [each.name for each in fields(Config) if each.metadata["about"] not in text] == []

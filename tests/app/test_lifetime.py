"""What a server's processes tell each other; tests/service starts and ends whole ones."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.app.lifetime import _shown, _worker_address
from codeyard.app.processes import _environment
from codeyard.config import Config, OverLimit

# Of the server alone, or what a worker process is told otherwise: see `_environment`.
_SERVERS = {
    "agent",
    "approvals",
    "events",
    "outside",
    "outside_profile",
    "poll_sources",
    "repositories",
    "data",
    "listen",
    "url",
    "api",
    "workers",
    "worker",
    "worker_listen",
    "worker_url",
    "cpus",
    "memory",
    "console",
}


def config(**given: Any) -> Config:
    return Config(data=Path("/nowhere"), **given)


@given(
    st.fixed_dictionaries(
        {"objects": st.sampled_from(["http://127.0.0.1:9000", "https://s3.example"])},  # which `bucket` needs
        optional={
            "unsafe_process": st.booleans(),
            "privileged": st.booleans(),
            "local_sources": st.booleans(),
            "host_git": st.booleans(),
            "account_limit": st.integers(0, 9),
            "over_limit": st.sampled_from(OverLimit),
            "builds": st.integers(0, 9),
            "lease": st.floats(0.01, 3600),
            "poll": st.floats(0.01, 3600),
            "curated_images": st.sampled_from(["machine", "docker"]),
            "account": st.just("111122223333"),
            "region": st.just("eu-west-1"),
            "bucket": st.just("s3://bucket/prefix"),
            "database": st.just("postgresql://me:p%40ss@127.0.0.1/name"),
            "vault_key": st.just("/keys/vault.key"),
        },
    ),
    st.integers(1, 8),
)
def test_a_worker_process_has_the_servers_settings(given: dict[str, Any], workers: int) -> None:
    settings = config(workers=workers, **given)
    told = Config.load(settings.data, {}, _environment(settings, "one-2"))

    kept = [each.name for each in fields(Config) if each.name not in _SERVERS]
    assert {name: getattr(told, name) for name in kept if name != "database"} == {
        name: getattr(settings, name) for name in kept if name != "database"
    }
    assert told.database_url == settings.database_url
    assert (told.worker, told.workers) == ("one-2", 0)


@given(st.integers(1, 8), st.floats(0.5, 64), st.floats(0.5, 512))
def test_and_its_share_of_the_machine(workers: int, cpus: float, memory: float) -> None:
    settings = config(workers=workers, cpus=cpus, memory=memory)
    told = Config.load(settings.data, {}, _environment(settings, "one"))

    assert told.cpus * workers == pytest.approx(cpus)
    assert told.memory * workers == pytest.approx(memory, abs=1e-6)


def test_a_database_is_shown_without_its_password() -> None:
    assert "s3cret" not in _shown("postgresql://me:s3cret@127.0.0.1/name")
    assert "127.0.0.1/name" in _shown("postgresql://me:s3cret@127.0.0.1/name")


def test_a_worker_listens_where_it_is_told() -> None:
    assert _worker_address(config()) == ("127.0.0.1", 0)
    assert _worker_address(config(worker_listen="[::1]:9")) == ("::1", 9)

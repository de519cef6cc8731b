"""The dashboard over a database URL, on a real PostgreSQL server."""

import pytest
from textual.pilot import Pilot

from experiments.sweeps import Sweep, plan
from fsrun.planning import requests
from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from store.engine import open_store
from store.runs import enqueue
from tests.store.postgres_server import find_programs, serving
from tests.tui.tui_cases import screen_text, shows, until, use


def test_over_a_url_runs_are_shown_its_password_is_not_and_a_server_that_goes_away_is_named() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'fsrun[postgres]'")
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with serving(programs) as server, server.database() as name:
        url = server.url(name)
        engine = open_store(url)
        enqueue(engine, requests(plan(Sweep("synthetic", (), "quick"))), now=1e6, provenance={})
        engine.dispose()
        database = Database(url, clock=lambda: 1e6)

        async def steps(pilot: Pilot[None]) -> None:
            await until(pilot, shows(pilot, "#1 Linear", "postgresql", "1 queued"))
            server.order(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            server.order(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            await until(pilot, shows(pilot, "! database", "#1 Linear"))  # the last picture stays
            assert server.password not in screen_text(pilot)
            server.order(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await until(pilot, lambda: "! database" not in screen_text(pilot))
            await pilot.press("o", "slash", *"linear", "enter")
            await until(pilot, shows(pilot, "1 of 1", "▸"))

        use(Dashboard(database), steps, (120, 40))
        database.close()

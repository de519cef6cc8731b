"""PostgreSQL where it differs: locks of single rows, a server that can be gone, and a password.

Not here: what holds for every database, which the other tests of the store check on both kinds.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine, func, make_url, select, text
from sqlmodel import col

from fsrun.liveness import Clock, Clocks
from store import queue
from store.curves import metric_names
from store.engine import open_store, reading, server_time, writing
from store.errors import DatabaseUnavailable, LeaseLost, NumberTooLarge
from store.jobs import JobStatus, Outcome
from store.runs import Enqueued, enqueue, get_run
from store.snapshot import snapshot
from store.tables import Job
from tests.store.postgres_server import Server
from tests.store.store_cases import LEASE, Writer, ask, request, take

pytestmark = pytest.mark.parametrize("place", ["postgresql"], indirect=True)

ROOT = Path(queue.__file__).parents[1]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that stand for processes: each takes a connection of its own."""
    with ThreadPoolExecutor() as pool:
        yield pool


def at_once(threads: ThreadPoolExecutor, *orders: Callable[[], object]) -> list[object]:
    """Return what the orders give that start at the same moment."""
    barrier = Barrier(len(orders))

    def start(order: Callable[[], object]) -> object:
        barrier.wait()
        return order()

    return list(threads.map(start, orders))


def claim(engine: Engine, worker: str, now: float, only: Collection[int] | None = None) -> queue.Claim | None:
    return queue.claim(engine, worker, now=now, lease_seconds=LEASE, only=only)


def until_it_waits(engine: Engine) -> None:
    """Return when some statement waits for a lock that another transaction holds."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = :name"
    counted = 0
    while not counted:
        with reading(engine) as connection:
            counted = connection.execute(text(waiting), {"name": engine.url.database}).scalar_one()


def test_job_that_another_worker_is_about_to_claim_is_passed_over(engine: Engine) -> None:
    first, second = ask(engine, request("a"), request("b"))
    with writing(engine, beside_others=True) as connection:
        connection.execute(select(col(Job.step)).where(col(Job.run_id) == first).with_for_update())
        assert take(engine).run_id == second
        assert claim(engine, "w2", now=1.0) is None
    assert take(engine).run_id == first


def test_expired_lease_goes_to_one_of_many_that_notice_it_at_once(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    (run_id,) = ask(engine, request())
    for turn in range(1, 5):
        take(engine, now=turn * 1000.0)
        Writer(engine, queue.Claim(run_id, 2 * turn - 1, "", 0, ())).write([turn * 10], [1.0])  # progress
        late = turn * 1000.0 + LEASE + 1
        got = at_once(threads, *(partial(claim, engine, f"w{number}", late) for number in range(4)))
        assert sum(each is not None for each in got) == 1
        assert [each.outcome for each in get_run(engine, run_id).attempts][-2:] == [Outcome.LOST, None]
        queue.release(engine, run_id, 2 * turn, now=late)


def test_lease_renewed_while_another_worker_looks_at_it_is_not_taken(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    ask(engine, request())
    own = take(engine, now=0.0)
    with writing(engine, beside_others=True) as connection:
        connection.execute(text("UPDATE job SET lease_until = 1000"))
        assert threads.submit(claim, engine, "w2", LEASE + 1).result() is None
    assert not queue.renew(engine, own.run_id, own.attempt, now=LEASE + 2, lease_seconds=LEASE)


def test_cancel_and_claim_of_one_job_never_contradict_each_other(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    for run_id in ask(engine, *(request("a", seed=seed) for seed in range(20))):
        claimed, answer = at_once(
            threads,
            partial(claim, engine, "w", 1.0, only=[run_id]),
            partial(queue.request_cancel, engine, [run_id], 1.0),
        )
        assert isinstance(answer, queue.Answer)
        assert (answer.statuses[run_id], claimed is None) in [
            (JobStatus.RUNNING, False),
            (JobStatus.CANCELLED, True),
        ]
        if isinstance(claimed, queue.Claim):
            assert queue.release(engine, run_id, claimed.attempt, now=2.0) is JobStatus.CANCELLED


def test_cancel_waits_for_a_claim_under_way_and_then_asks_its_worker(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    (run_id,) = ask(engine, request())
    with writing(engine, beside_others=True) as connection:
        connection.execute(text("UPDATE job SET status = 'running', attempt = 1, lease_until = 100"))
        cancelling = threads.submit(queue.request_cancel, engine, [run_id], 1.0)
        until_it_waits(engine)
    assert cancelling.result().statuses == {run_id: JobStatus.RUNNING}
    assert queue.renew(engine, run_id, 1, now=2.0, lease_seconds=LEASE)


def test_worker_that_writes_while_its_job_is_taken_over_is_shut_out(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    (run_id,) = ask(engine, request())
    writer = Writer(engine, take(engine, now=0.0))
    with writing(engine, beside_others=True) as connection:
        connection.execute(text("UPDATE job SET attempt = 2"))
        late = threads.submit(writer.write, [10], [1.0])
        until_it_waits(engine)
    with pytest.raises(LeaseLost):
        late.result()
    with reading(engine) as connection:
        assert metric_names(connection, run_id) == ()


def test_run_that_two_sweeps_need_is_made_once_by_whoever_comes_first(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    def queue_one(name: str) -> Enqueued:
        return enqueue(engine, [request(name, request("pretrain"))], now=0.0, provenance={})[0]

    asked = at_once(threads, *(partial(queue_one, name) for name in "abcd"))
    assert len({each.parents for each in asked if isinstance(each, Enqueued)}) == 1
    assert len(snapshot(engine, now=1.0).runs) == 5


def test_workers_write_beside_each_other(engine: Engine) -> None:
    ask(engine, request("a"), request("b"))
    one, other = take(engine), take(engine)
    with writing(engine, beside_others=True) as connection:
        connection.execute(select(col(Job.step)).where(col(Job.run_id) == one.run_id).with_for_update())
        Writer(engine, other).write([10], [1.0])
    assert [row.step for row in snapshot(engine, now=1.0).runs] == [10, 0]


def test_reader_sees_one_state_while_others_write(engine: Engine) -> None:
    jobs = select(func.count()).select_from(Job)
    with reading(engine) as connection:
        assert connection.execute(jobs).scalar_one() == 0
        ask(engine, request())
        assert connection.execute(jobs).scalar_one() == 0
        with pytest.raises(DatabaseUnavailable, match="can only be read"), reading(engine) as other:
            other.execute(text("UPDATE job SET step = 1"))


def test_connections_that_the_server_ended_are_replaced(engine: Engine, server: Server) -> None:
    (run_id,) = ask(engine, request())
    _end_connections(server, engine)
    assert get_run(engine, run_id).status is JobStatus.QUEUED


def test_connection_that_ends_in_the_middle_of_a_change_undoes_it(engine: Engine, server: Server) -> None:
    (run_id,) = ask(engine, request())

    def stumble() -> None:
        with writing(engine) as connection:
            connection.execute(text("UPDATE job SET step = 7"))
            _end_connections(server, engine)
            connection.execute(text("UPDATE job SET step = 8"))

    with pytest.raises(DatabaseUnavailable, match=r"server stops or restarts: try again|check it and"):
        stumble()
    assert get_run(engine, run_id).step == 0


def _end_connections(server: Server, engine: Engine) -> None:
    """Have the server end all connections to the database of the engine, as it does when it restarts."""
    name = engine.url.database
    server.order(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"password": "wrong-secret"}, r"fsrun:\*\*\*@127.0.0.1.*check the user and the password in its URL"),
        ({"database": "nowhere"}, r'nowhere: .*"nowhere" does not exist; make it with createdb'),
        ({"port": 9}, r"127.0.0.1:9/.*refused; start its server, or check host and port"),
        ({"host": "no-such-host.invalid"}, r"no-such-host.invalid.*; check the name of the host"),
        ({"query": {"pasword": "query-secret"}}, r"invalid connection option .*; check it"),
    ],
)
def test_server_that_lets_nobody_in_is_named_without_the_password(
    place: str, change: dict[str, object], line: str
) -> None:
    url = make_url(place).set(**change)  # type: ignore[arg-type]
    with pytest.raises(DatabaseUnavailable, match=line) as caught:
        open_store(url.render_as_string(hide_password=False))
    said = str(caught.value)
    assert "\n" not in said
    assert not any(secret in said for secret in (str(url.password), "query-secret"))


@pytest.mark.parametrize("engine_name", ["local", "slurm"])
def test_worker_started_while_its_server_is_down_says_so_and_waits(
    place: str, tmp_path: Path, engine_name: str
) -> None:
    url = make_url(place).set(port=9).render_as_string(hide_password=False)
    environment = os.environ | {"FSRUN_HOME": str(tmp_path / "home"), "FSRUN_DB_URL": url}
    words = [sys.executable, "-m", "fsrun", "worker", "--engine", engine_name]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as worker:
        assert worker.stdout is not None
        assert "refused; start its server, or check host and port; going on" in worker.stdout.readline()
        assert worker.poll() is None
        worker.terminate()


def test_url_without_the_driver_means_the_same(place: str) -> None:
    for start in ("postgresql://", "postgres://"):
        engine = open_store(place.replace("postgresql+psycopg://", start))
        assert snapshot(engine, now=0.0).runs == ()
        engine.dispose()


def test_number_too_large_for_the_database_is_refused_in_one_line(engine: Engine) -> None:
    with pytest.raises(NumberTooLarge):
        get_run(engine, 2**31)


def test_leases_go_by_the_servers_clock_whatever_that_of_the_machine_says(engine: Engine) -> None:
    clock = Clock(engine, machine=lambda: time.time() - 7200.0)
    before, said, after = (float(each or 0.0) for each in (server_time(engine), clock(), server_time(engine)))
    assert before - 0.001 <= said <= after + 0.001
    (ahead,) = Clocks(clock).look(engine).values()
    assert ahead == pytest.approx(7200.0, abs=60.0)


def test_command_trains_and_reports_with_the_database_of_the_url(place: str, tmp_path: Path) -> None:
    words = ("run", "synthetic", "--preset", "quick", "--set", "steps=400", "--set", "episodes=50")
    environment = os.environ | {"FSRUN_HOME": str(tmp_path / "home"), "FSRUN_DB_URL": place, "COLUMNS": "160"}
    for command in (words, ("ls",), ("report", "--figure4")):
        done = subprocess.run(
            [sys.executable, "-m", "fsrun", *command],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            cwd=ROOT,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.rglob("*.db"))
    engine = open_store(place)
    run = get_run(engine, 1)
    assert (run.status, run.step) == (JobStatus.DONE, 400)
    assert "test/loss_ratio" in [row.name for row in run.results]
    picture = snapshot(engine, now=0.0, selected=1)
    assert picture.workers == ()
    assert picture.selected is not None
    assert {curve.steps for curve in picture.selected.curves} == {(200, 400)}
    engine.dispose()

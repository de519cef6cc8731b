import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.final_state import final_state
from experiments.sweeps import Sweep, plan
from fsrun.planning import requests
from store.engine import open_store
from store.jobs import JobStatus, Outcome
from store.runs import enqueue, get_run
from store.snapshot import snapshot
from tests.cli.cli_cases import Case, assert_refused, in_its_own_process
from tests.store.postgres_server import find_programs, serving
from tests.worker.engine_cases import SHORT, descendants, end_at_once, final_states, times_done
from tests.worker.worker_cases import ask, runners, suspended, wait_until, working

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'fsrun[ray]'")

LONGER = SHORT | {"steps": [1_000_000]}

LOOPBACK: dict[str, Any] = {"node_ip_address": "127.0.0.1", "include_dashboard": False, "num_cpus": 1}


class Loopback:
    """A cluster of Ray on the loopback interface, whose nodes hold one job each."""

    def __init__(self, nodes: int) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster()
        self.others = [self.add() for _ in range(nodes)][1:]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, **settings: str) -> Any:
        """Start a node, again where a busy machine took longer than the half minute Ray allows."""
        environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **settings}
        for _ in range(5):
            try:
                return self.cluster.add_node(**LOOPBACK, env_vars=environment)
            except Exception as error:  # noqa: BLE001 (Ray has no kind of its own for it)
                late = error
                assert "timed out during startup" in str(late)
        raise late

    def lose(self, node: Any) -> None:
        """Have a node and everything on it gone at once, as when its plug is pulled."""
        started = [each.process.pid for kind in node.all_processes.values() for each in kind]
        everything = descendants(started)
        self.cluster.remove_node(node, allow_graceful=False)
        end_at_once(everything)


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray then keeps to 127.0.0.1
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.setenv("FSRUN_LEASE_SECONDS", "20")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def three_nodes(on_loopback: None) -> Iterator[Loopback]:
    here = Loopback(3)
    yield here
    here.cluster.shutdown()


def on_ray(cluster: Loopback, *words: str) -> tuple[str, ...]:
    return ("worker", "--engine", "ray", "--address", cluster.address, *words)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_sixty_jobs_on_three_nodes_outlive_a_node_and_a_worker_and_equal_those_of_a_local_worker(
    home: Case, tmp_path: Path, three_nodes: Loopback
) -> None:
    alone = Case(tmp_path / "alone")
    alone.root.mkdir()
    for each in (alone, home):
        ask(each, "synthetic", "linear", SHORT | {"steps": [15_000]}, seeds=3)
        ask(each, "synthetic", "linear", SHORT, seeds=57)
    assert in_its_own_process(alone, "worker", "--drain", seconds=600).code == 0

    with working(home, *on_ray(three_nodes, "--drain"), patience=600) as command:
        with ExitStack() as held:
            for run_id in (1, 2, 3):
                wait_until(partial(has_begun, home, run_id), 240)
                held.enter_context(suspended(runner_of(home, run_id)))
            three_nodes.lose(three_nodes.others[0])
            wait_until(lambda: len(interrupted(home)) == 1, 240)
            end_at_once({a_worker_in_the_middle(home)})
        said, refused = command.communicate(timeout=600)

    assert (command.returncode, refused) == (0, "")
    assert home.statuses() == [JobStatus.DONE] * 60
    assert times_done(home) == [1] * 60
    assert len(interrupted(home)) == 2
    assert final_states(home) == final_states(alone)
    assert "goes on from its last checkpoint elsewhere" in said
    assert "3 nodes of Ray, with room for 3 jobs at a time" in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_nodes_share_a_queue_on_postgresql_and_measure_what_a_local_worker_does(
    home: Case, tmp_path: Path, on_loopback: None
) -> None:
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    alone = Case(tmp_path / "alone")
    alone.root.mkdir()
    ask(alone, "synthetic", "linear", SHORT, seeds=8)
    assert in_its_own_process(alone, "worker", "--drain", seconds=300).code == 0
    (tmp_path / "project" / "experiments").mkdir(parents=True)  # the user's own, where the command is typed
    (tmp_path / "project" / "random.py").write_text("raise RuntimeError('this is a file of the user')")
    (tmp_path / "project" / "experiments" / "__init__.py").touch()
    cluster = Loopback(2)
    try:
        with serving(programs) as server, server.database() as name:
            engine = open_store(server.url(name))
            planned = plan(Sweep("synthetic", ("linear",), "quick", seeds=8, settings=SHORT))
            enqueue(engine, requests(planned), now=time.time(), provenance={})
            settings = {"FSRUN_DB_URL": server.url(name)}
            words = on_ray(cluster, "--drain")
            drained = in_its_own_process(
                home, *words, seconds=600, settings=settings, folder=tmp_path / "project"
            )
            assert (drained.code, drained.err) == (0, "")
            hosts = {attempt.worker_id for run in range(1, 9) for attempt in get_run(engine, run).attempts}
            assert len(hosts) == 2
            assert [final_state(engine, home, run) for run in range(1, 9)] == final_states(alone)
            engine.dispose()
    finally:
        cluster.cluster.shutdown()


def has_begun(home: Case, run_id: int) -> bool:
    return home.run(run_id).step > 0


def runner_of(home: Case, run_id: int) -> int:
    """Return the process that trains a run, whose worker has no other."""
    workers = snapshot(home.engine(), now=time.time()).workers
    worker = next(each.pid for each in workers if each.run_id == run_id)
    return (descendants([worker]) & runners(home)).pop()


def interrupted(home: Case) -> list[Outcome]:
    """Return how attempts at the first three runs ended that did not bring them to their end."""
    outcomes = [attempt.outcome for run_id in (1, 2, 3) for attempt in home.run(run_id).attempts]
    return [each for each in outcomes if each not in (None, Outcome.DONE)]


def a_worker_in_the_middle(home: Case) -> int:
    """Return the process of a worker that has come some way with one of the first three runs."""
    workers = {each.run_id: each.pid for each in snapshot(home.engine(), now=time.time()).workers}
    fresh = [run_id for run_id in (1, 2, 3) if len(home.run(run_id).attempts) == 1]
    return next(workers[run_id] for run_id in fresh if home.run(run_id).status is JobStatus.RUNNING)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_that_differs_is_named_and_left_out_and_ctrl_c_hands_every_job_back(
    home: Case, on_loopback: None, tmp_path: Path
) -> None:
    cluster = Loopback(1)
    try:
        cluster.add(PYTHONPATH=str(other_torch(tmp_path)) + os.pathsep + os.environ.get("PYTHONPATH", ""))
        ask(home, "synthetic", "linear", LONGER, seeds=2)
        with working(home, *on_ray(cluster), patience=240) as command:
            assert command.stdout is not None
            fault = next(line for line in command.stdout if line.startswith("node "))
            assert "it has torch 0.0.7, the command runs with" in fault
            assert "install the same versions on every node" in fault
            wait_until(lambda: home.run(1).step > 0 or home.run(2).step > 0, 240)
            command.terminate()
            _, refused = command.communicate(timeout=240)
        assert (command.returncode, refused) == (0, "")
        assert home.statuses() == [JobStatus.QUEUED] * 2
        assert {each.outcome for run in (1, 2) for each in home.run(run).attempts} == {Outcome.RELEASED}
        refusals(home, cluster)
    finally:
        cluster.cluster.shutdown()


def other_torch(folder: Path) -> Path:
    """Return a folder in which another version of torch seems to be installed."""
    made = folder / "other" / "torch-0.0.7.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.0.7\n")
    return made.parent


def refusals(home: Case, cluster: Loopback) -> None:
    too_much = in_its_own_process(home, *on_ray(cluster, "--cpus-per-job", "9"))
    assert_refused(too_much, "no node of the cluster has 9 CPUs and 0 GPUs", "--cpus-per-job")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_doctor_gives_each_node_a_row_and_says_what_is_wrong_with_one_that_differs(
    home: Case, on_loopback: None, tmp_path: Path
) -> None:
    home.engine().dispose()
    cluster = Loopback(2)
    try:
        fine = in_its_own_process(home, "doctor", "--cluster", "--address", cluster.address, seconds=240)
        cluster.add(PYTHONPATH=str(other_torch(tmp_path)) + os.pathsep + os.environ.get("PYTHONPATH", ""))
        differs = in_its_own_process(home, "doctor", "--cluster", "--address", cluster.address, seconds=240)
    finally:
        cluster.cluster.shutdown()
    assert (fine.code, fine.err) == (0, "")
    assert [line.split()[0] for line in fine.out.splitlines()[2:]] == ["ok", "ok", "Compared"]
    assert_refused(differs, "1 of 3 nodes")
    assert sorted(line.split()[0] for line in differs.out.splitlines()[2:5]) == ["ok", "ok", "wrong"]
    assert "it has torch 0.0.7, the command runs with" in differs.out
    assert list(home.root.rglob(".ray-*")) == []


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("nowhere", ("--address 'nowhere' is not HOST:PORT", "auto")),
        ("ray://127.0.0.1:10001", ("is not HOST:PORT",)),
        ("auto", ("no Ray cluster was started on this machine", "ray start --head")),
    ],
)
def test_an_address_that_is_none_is_refused(
    home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, parts: tuple[str, ...]
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert_refused(in_its_own_process(home, "worker", "--engine", "ray", "--address", address), *parts)


def test_no_cluster_at_the_address_is_said_at_once(home: Case) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        answers = [
            in_its_own_process(home, *words, "--address", place)
            for words in (("worker", "--engine", "ray"), ("doctor", "--cluster"))
        ]
    for answer in answers:
        assert_refused(answer, f"no Ray cluster answers at {place}", "ray start --head")

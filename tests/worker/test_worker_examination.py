import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from time import time

import pytest

from fsrun.object_store import MARK
from fsrun.paths import Home
from fsrun.worker.examination import Device, Examination, examine, looked_back, missing_gpus
from fsrun.worker.nodes import Order, ordered
from fsrun.worker.probes import left, unseen, unshared
from tests.cli.cli_cases import Answer, Case, assert_refused, environment, in_its_own_process
from tests.worker.engine_cases import SHORT
from tests.worker.worker_cases import ask, wait_until, working


@contextmanager
def ordered_here(home: Case) -> Iterator[Order]:
    """Give an order of a fleet whose database is there."""
    home.engine().dispose()
    with ordered(home, "test-0c0ffe", "auto", {}) as order:
        yield replace(order, environment=dict(order.environment))


def on_a_node(order: Order) -> Examination:
    """Examine in a process of its own, as an engine does."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(examine, order, "node/7").result(120)


def lines(examined: Examination) -> list[str]:
    return [fault.line for fault in examined.faults]


def test_a_node_that_is_as_the_command_says_what_it_has_and_leaves_nothing_behind(home: Case) -> None:
    with ordered_here(home) as order:
        asked_at = time()
        examined = looked_back(order, home, on_a_node(order), asked_at)
    assert examined.faults == ()
    assert examined.answered == ("home", "data", "checkpoints")
    assert examined.schema is not None
    assert examined.device.cores == len(os.sched_getaffinity(0))
    assert examined.facts == order.facts
    assert list(home.root.rglob("*test-0c0ffe*")) == []


def test_everything_that_is_wrong_with_a_node_is_named_not_only_the_first(home: Case, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    with ordered_here(home) as order:
        other = replace(
            order,
            device="cuda:77",
            facts={**order.facts, "torch": "0.0.7", "python": "3.9.0"},
            environment={
                "FSRUN_HOME": str(elsewhere),
                "FSRUN_DB_URL": "postgresql+psycopg://u@127.0.0.1:1/x",
            },
        )
        examined = on_a_node(other)
    assert [fault.about for fault in examined.faults] == [
        "versions",
        "versions",
        "home",
        "database",
        "device",
    ]
    python, torch, unshared_home, database, _ = lines(examined)
    assert "the command runs with 3.9.0" in python
    assert "the command runs with 0.0.7" in torch
    assert f"its {elsewhere} is not the one of the command" in unshared_home
    assert "set FSRUN_HOME" in unshared_home
    assert "127.0.0.1" in database


def test_a_part_of_the_home_that_is_another_folder_is_named(home: Case, tmp_path: Path) -> None:
    """The node sees the same home, but has checkpoints on a disk of its own."""
    node = Home(tmp_path / "node")
    node.root.mkdir()
    (node.root / "fleets").symlink_to(home.root / "fleets")
    (node.root / "data").symlink_to(home.data)
    with left(home, "t") as left_in:
        (line,) = unshared(node, "t", left_in, "node", patience=0.0)
    assert line.startswith(f"its {node.checkpoints} is not the one of the command")
    assert "mount the same one" in line


def test_what_a_node_writes_and_the_command_does_not_see_is_named(home: Case) -> None:
    """As with a layer over the folder that only the node sees."""
    with left(home, "t") as left_in:
        assert list(unshared(home, "t", left_in, "node", patience=0.0)) == []
        assert list(unseen(home, "t", "node", left_in, patience=0.0)) == []
        (home.checkpoints / ".t.node.there").unlink()
        (line,) = unseen(home, "t", "node", left_in, patience=0.0)
    assert line.startswith(f"what it writes to {home.checkpoints} is not seen here")


def test_a_clock_that_is_off_and_gpus_that_torch_does_not_see_are_named(home: Case) -> None:
    said = Examination("node", "host", {}, Device(1, 1), clock=time() - 60)
    with ordered_here(home) as order:
        (fault,) = looked_back(order, home, said, asked_at=time()).faults
    assert "its clock is off by 60 s" in fault.line
    (unlit,) = missing_gpus(said, 2.0)
    assert "the cluster lends 2 GPUs of it, its torch sees 0: install a driver" in unlit.line
    assert list(missing_gpus(said, 0.0)) == []


def test_with_a_storage_the_node_may_have_a_home_of_its_own(
    home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'fsrun[cloud]'")
    database = home.engine().url.render_as_string()
    monkeypatch.setenv("FSRUN_DB_URL", database)
    monkeypatch.setenv("FSRUN_STORAGE", f"file://{tmp_path}/storage")
    with ordered_here(home) as order:
        other = {**order.environment, "FSRUN_HOME": str(tmp_path / "elsewhere")}
        fine = on_a_node(replace(order, environment=other))
        apart = on_a_node(replace(order, environment=other | {"FSRUN_STORAGE": f"file://{tmp_path}/x"}))
    assert fine.faults == ()
    assert fine.answered == ("storage",)
    (fault,) = apart.faults
    assert f"its file://{tmp_path}/x is not the one of the command" in fault.line
    assert "the same FSRUN_STORAGE" in fault.line
    assert [path.name for path in (tmp_path / "storage").rglob(".*")] == [MARK]


def doctor(home: Case, *words: str) -> Answer:
    return in_its_own_process(home, "doctor", "--cluster", *words)


def test_without_an_engine_the_running_workers_are_looked_at(home: Case) -> None:
    home.engine().dispose()
    assert_refused(doctor(home), "no worker is running", "--engine ray")
    with working(home, "worker") as worker:
        wait_until(lambda: doctor(home).code == 0)
        new = doctor(home)
        ask(home, "synthetic", "linear", SHORT)
        wait_until(lambda: home.run(1).finished is not None)
        fine = doctor(home)
        (log,) = home.logs.glob("worker-*.log")
        log.rename(home.root / "moved.log")
        apart = doctor(home)
        worker.send_signal(signal.SIGTERM)
    assert "has run nothing yet: its versions are known once it has" in new.words
    assert (fine.code, fine.err) == (0, "")
    assert "has run nothing yet" not in fine.words
    assert " shared " in fine.out
    assert fine.out.splitlines()[2].startswith("ok ")
    assert_refused(apart, "1 of 1 running worker")
    assert "its FSRUN_HOME is another folder: set FSRUN_HOME" in apart.words


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--cluster", "--engine", "local"), ("--engine 'local' is neither ray nor slurm",)),
        (("--cluster", "--engine", "slurm", "--address", "auto"), ("--address is of Ray",)),
        (("--address", "auto"), ("add --cluster",)),
    ],
)
def test_words_that_do_not_fit_together_are_refused(
    home: Case, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_refused(in_its_own_process(home, "doctor", *words), *parts)


ON_SLURM = """
import sys
from fsrun.cli import cluster_doctor
from fsrun.cli.errors import reported
sys.exit(reported(lambda: cluster_doctor._say("node", cluster_doctor._on_slurm([], cluster="local"))))
"""
"""What `fsrun doctor --cluster --engine slurm` does, with its jobs as processes here."""


def test_a_node_of_slurm_is_examined_by_a_job_of_its_own(home: Case) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'fsrun[slurm]'")
    home.engine().dispose()
    done = subprocess.run(
        [sys.executable, "-c", ON_SLURM],
        capture_output=True,
        text=True,
        env=environment(home),
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok " in done.stdout
    assert " shared " in done.stdout


def test_nodes_that_slurm_calls_unusable_are_named(
    home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'fsrun[slurm]'")
    home.engine().dispose()
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("srun", "exit 1"), ("sinfo", "echo n1 down*; echo n2 drained")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    answer = doctor(home, "--engine", "slurm")
    assert_refused(answer, "2 of 2 nodes")
    assert "wrong n1: Slurm says it is down*: see sinfo -R" in answer.words

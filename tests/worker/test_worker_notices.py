"""Notices: commands and messages at the end of runs, which never hold up the worker."""

import json
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine

from experiments.sweeps import Sweep, plan
from fsrun.cli.foreground import Watch
from fsrun.errors import UsageError
from fsrun.planning import enqueue_planned
from fsrun.worker.notices import Notices, check_addresses
from store import queue, workers
from store.engine import open_store
from store.results import ResultRow
from tests.cli.cli_cases import TINY, Case, assert_refused, in_its_own_process
from tests.worker.worker_cases import wait_until


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_store(tmp_path / "fsrun.db")
    planned = plan(Sweep("omniglot", ("protonet",), "quick", seeds=3))
    enqueue_planned(made, planned, now=time.time(), on_end=f"echo queued $FSRUN_RUN >> {tmp_path}/own")
    workers.register(made, "mine", host="here", pid=1, device="cpu", now=time.time())
    yield made
    made.dispose()


def ended(engine: Engine, error: str = "", worker: str = "mine") -> None:
    """Have a worker bring its next run to an end."""
    job = queue.claim(engine, worker, now=time.time(), lease_seconds=60.0)
    assert job is not None
    if error:
        queue.fail(engine, job.run_id, job.attempt, error, now=time.time())
    else:
        accuracy = ResultRow("test/accuracy", 0.9, 0.01, 100)
        queue.finish(engine, job.run_id, job.attempt, [accuracy], now=time.time())


def watching(engine: Engine, said: list[str], **settings: float | str) -> tuple[Watch, Notices]:
    watch = Watch(engine, None, "mine")
    watch.notices = Notices(engine, said.append, **settings)  # type: ignore[arg-type]
    return watch, watch.notices


def in_no_hurry() -> bool:
    return False


class Heard(list[str]):
    """What a server was sent, and its address as apprise writes it."""

    address = ""


@pytest.fixture
def heard() -> Iterator[Heard]:
    pytest.importorskip("apprise")
    messages = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.append(json.loads(body)["message"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        messages.address = f"json://127.0.0.1:{server.server_port}"
        serving = Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        yield messages
        server.shutdown()
        serving.join()


def test_a_command_finds_the_run_in_its_environment(engine: Engine, tmp_path: Path) -> None:
    said: list[str] = []
    written = f'echo "$FSRUN_RUN $FSRUN_STATUS $FSRUN_METRIC $FSRUN_RESULT $FSRUN_ERROR" >> {tmp_path}/worker'
    watch, notices = watching(engine, said, on_end=written)
    ended(engine)
    ended(engine, "Traceback\nValueError: it diverged")
    ended(engine, worker="other")
    watch.tick(now=True)
    notices.close(in_no_hurry)
    assert sorted((tmp_path / "worker").read_text().splitlines()) == [
        "1 done test/accuracy 0.9 ",
        "2 failed   ValueError: it diverged",
    ]
    assert sorted((tmp_path / "own").read_text().splitlines()) == ["queued 1", "queued 2"]
    assert said == []


def test_a_command_that_fails_is_said_once_and_one_that_hangs_is_ended(
    engine: Engine, tmp_path: Path
) -> None:
    said: list[str] = []
    hangs = f"test $FSRUN_RUN = 3 && echo $$ > {tmp_path}/pid && sleep 600; echo no such disk >&2; exit 3"
    watch, notices = watching(engine, said, on_end=hangs, patience=1.0)
    for _ in range(3):
        ended(engine)
    began = time.monotonic()
    watch.tick(now=True)
    assert time.monotonic() - began < 0.9  # it waits for none
    notices.close(in_no_hurry)
    (line,) = said
    assert "exit code 3: no such disk" in line
    wait_until((tmp_path / "pid").is_file)
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_worker_in_a_hurry_leaves_alone_what_still_runs(engine: Engine, tmp_path: Path) -> None:
    said: list[str] = []
    waits = f"until test -e {tmp_path}/go; do sleep 0.05; done; touch {tmp_path}/$FSRUN_RUN"
    watch, notices = watching(engine, said, on_end=waits)
    ended(engine)
    watch.tick(now=True)
    notices.close(lambda: True)
    (line,) = said
    assert "left alone" in line
    assert not (tmp_path / "1").exists()
    (tmp_path / "go").touch()
    wait_until((tmp_path / "1").is_file)
    notices.close(in_no_hurry)


def test_messages_tell_of_failures_of_the_end_of_the_queue_and_of_lost_workers(
    engine: Engine, heard: Heard
) -> None:
    workers.register(engine, "other", host="elsewhere", pid=1, device="cpu", now=time.time())
    watch, notices = watching(engine, [], addresses=heard.address, every=3600.0)
    ended(engine, "ValueError: it diverged")
    watch.tick(now=True)
    wait_until(lambda: len(heard) == 1)
    assert heard[0].splitlines() == ["Run 1, protonet on omniglot, failed: ValueError: it diverged"]
    workers.beat(engine, "other", time.time() - 3600)
    watch.tick(now=True)
    ended(engine)
    ended(engine)
    watch.tick(now=True)
    assert len(heard) == 1
    notices.every = 0.0
    notices.close(in_no_hurry)
    wait_until(lambda: len(heard) == 2)
    assert heard[1].splitlines() == [
        "Worker other was lost.",
        "The queue is done: 1 run failed, 2 runs done.",
    ]


def test_a_fleet_tells_of_its_slots_runs_and_of_the_end_of_the_queue(
    home: Case, heard: Heard, tmp_path: Path
) -> None:
    own = f"echo own $FSRUN_RUN >> {tmp_path}/ends"
    queued = in_its_own_process(home, "queue", "synthetic", *TINY, "--on-end", own)
    assert queued.code == 0, queued.err
    answer = in_its_own_process(
        home,
        *("worker", "--drain", "--jobs", "2", "--device", "cpu"),
        *("--on-end", f"echo $FSRUN_STATUS $FSRUN_RUN >> {tmp_path}/ends"),
        settings={"FSRUN_NOTIFY": heard.address},
    )
    assert (answer.code, answer.err) == (0, "")
    assert sorted((tmp_path / "ends").read_text().splitlines()) == ["done 1", "own 1"]
    assert heard == ["The queue is done: 1 run done."]


def test_addresses_that_cannot_be_used_are_refused_in_one_line(
    home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("apprise")
    refused = in_its_own_process(
        home, "worker", "--drain", settings={"FSRUN_NOTIFY": "mailtoo://me:secret@x"}
    )
    assert_refused(refused, "FSRUN_NOTIFY", "mailtoo")
    assert "secret" not in refused.err
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UsageError, match=r"pip install 'fsrun\[notify\]'"):
        check_addresses("mailto://x")

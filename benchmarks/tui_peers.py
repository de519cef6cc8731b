"""The other dashboards on the same curve: how long from their start to the first picture, and to the whole.

Not here: ours (tui.py). Runs in a Python that has them, which need not have fsrun.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
import math
import os
import pty
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from importlib import import_module
from importlib.metadata import version
from select import select
from shutil import which
from termios import TIOCSWINSZ
from typing import Any

TAG = "train/loss"
PATIENCE = 600.0  # seconds

Seconds = dict[str, float]
"""From the start to what the name says."""


def value(step: int) -> float:
    """Return the curve that every dashboard shows."""
    return math.sin(step / 1e5) + step % 7 / 50


def tensorboard(folder: Path, points: int) -> Seconds:
    """Return when tensorboard hands out the curve, and when a browser that was open already has a chart."""
    event: Any = import_module("tensorboard.compat.proto.event_pb2").Event
    summary: Any = import_module("tensorboard.compat.proto.summary_pb2").Summary
    files: Any = import_module("tensorboard.summary.writer.event_file_writer")
    writer = files.EventFileWriter(str(folder / "run"), max_queue_size=10_000, flush_secs=60)
    for step in range(points):
        point = summary(value=[summary.Value(tag=TAG, simple_value=value(step))])
        writer.add_event(event(wall_time=float(step), step=step, summary=point))
    writer.close()
    with browser() as open_page:
        return _served(folder, points, open_page)


def _served(folder: Path, points: int, open_page: Callable[[str], None] | None) -> Seconds:
    port = _free_port()
    program = str(Path(sys.executable).with_name("tensorboard"))
    words = [program, "--logdir", str(folder), "--port", str(port), "--load_fast", "true"]
    started = time.perf_counter()
    served = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?run=run&tag={TAG.replace('/', '%2F')}"
        _until(lambda: _last_step(address) == points - 1)
        seconds = {"hands out the whole curve": time.perf_counter() - started}
        if open_page is not None:
            open_page(f"http://127.0.0.1:{port}/")
            seconds["chart in Chromium"] = time.perf_counter() - started
        return seconds
    finally:
        served.terminate()
        served.wait()


def wandb(folder: Path, points: int) -> Seconds:
    """Return when `wandb leet` shows a chart, and when it has read to the end, where the run has finished."""
    library: Any = import_module("wandb")
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(folder))
    run = library.init(project="benchmark", dir=str(folder), settings=library.Settings(x_disable_stats=True))
    for step in range(points):
        run.log({TAG: value(step)}, step=step)
    run.finish()
    (made,) = (folder / "wandb").glob("offline-run-*")
    program = str(Path(sys.executable).with_name("wandb"))
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execv(program, [program, "leet", str(made)])
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    try:
        _read_until(terminal, lambda seen: TAG.encode() in seen and has_braille(seen))
        seconds = {"first chart, of a part": time.perf_counter() - started}
        try:
            _read_until(terminal, lambda seen: b"Finished" in seen)
            seconds["has read the whole curve"] = time.perf_counter() - started
        except TimeoutError:
            seconds["given up, not all read"] = time.perf_counter() - started
        return seconds
    finally:
        os.kill(pid, 15)
        os.waitpid(pid, 0)


PEERS: dict[str, Callable[[Path, int], Seconds]] = {"tensorboard": tensorboard, "wandb": wandb}


@contextmanager
def browser() -> Iterator[Callable[[str], None] | None]:
    """Give what opens a page and waits for its first line chart; None without playwright or Chromium."""
    program = which("chromium")
    try:
        playwright: Any = import_module("playwright.sync_api")
    except ImportError:
        program = None
    if program is None:
        yield None
        return
    with playwright.sync_playwright() as tools:
        page = tools.chromium.launch(executable_path=program, args=["--no-sandbox"]).new_page()

        def open_page(address: str) -> None:
            page.goto(address, timeout=1e3 * PATIENCE)
            page.wait_for_selector("line-chart canvas", timeout=1e3 * PATIENCE)

        yield open_page


def has_braille(seen: bytes) -> bool:
    """Return whether any dots of a curve were drawn."""
    return any(bytes([0xE2, 0xA0 + block]) in seen for block in range(4))


def _read_until(terminal: int, is_there: Callable[[bytes], bool]) -> None:
    seen, deadline = b"", time.monotonic() + PATIENCE
    while not is_there(seen):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not drawn in {PATIENCE:.0f} s")
        if select([terminal], [], [], 0.05)[0]:
            seen = seen[-100_000:] + os.read(terminal, 65_536)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_step(address: str) -> int | None:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            curve = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return int(curve[-1][1]) if curve else None


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no curve in {PATIENCE:.0f} s")
        time.sleep(0.02)


def main() -> int:
    """Measure one peer and print its version and its seconds as JSON."""
    name, folder, points = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    print(json.dumps({"version": version(name), "seconds": PEERS[name](folder, points)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fcntl import ioctl
from importlib import import_module
from importlib.metadata import version
from select import select
from shutil import which
from termios import TIOCSWINSZ
from typing import Any

TAG = "train/loss"
PATIENCE = 600.0  # seconds, unless said

Seconds = dict[str, float]
"""From the start to what the name says."""

_GIVEN_UP = "given up, not all read"


def value(step: int) -> float:
    """Return the curve that every dashboard shows."""
    return math.sin(step / 1e5) + step % 7 / 50


def tensorboard(folder: Path, points: int, patience: float) -> Seconds:
    """Return when tensorboard hands out the curve, and when a browser that was open already has a chart."""
    event: Any = import_module("tensorboard.compat.proto.event_pb2").Event
    summary: Any = import_module("tensorboard.compat.proto.summary_pb2").Summary
    files: Any = import_module("tensorboard.summary.writer.event_file_writer")
    writer = files.EventFileWriter(str(folder / "run"), max_queue_size=10_000, flush_secs=60)
    for step in range(points):
        point = summary(value=[summary.Value(tag=TAG, simple_value=value(step))])
        writer.add_event(event(wall_time=float(step), step=step, summary=point))
    writer.close()
    with browser(patience) as open_page:
        return _served(folder, points, open_page, patience)


def _served(folder: Path, points: int, open_page: Callable[[str], None] | None, patience: float) -> Seconds:
    port = _free_port()
    program = str(Path(sys.executable).with_name("tensorboard"))
    words = [program, "--logdir", str(folder), "--port", str(port), "--load_fast", "true"]
    started = time.perf_counter()
    served = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?run=run&tag={TAG.replace('/', '%2F')}"
        _until(lambda: _last_step(address) == points - 1, patience)
        seconds = {"hands out the whole curve": time.perf_counter() - started}
        if open_page is not None:
            open_page(f"http://127.0.0.1:{port}/")
            seconds["chart in Chromium"] = time.perf_counter() - started
        return seconds
    finally:
        served.terminate()
        served.wait()


def wandb(folder: Path, points: int, patience: float) -> Seconds:
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
        _read_until(terminal, lambda seen: TAG.encode() in seen and has_braille(seen), patience)
        seconds = {"first chart, of a part": time.perf_counter() - started}
        try:
            _read_until(terminal, lambda seen: b"Finished" in seen, patience)
            seconds["has read the whole curve"] = time.perf_counter() - started
        except TimeoutError:
            seconds[_GIVEN_UP] = time.perf_counter() - started
        return seconds
    finally:
        os.kill(pid, 15)
        os.waitpid(pid, 0)


PEERS: dict[str, Callable[[Path, int, float], Seconds]] = {"tensorboard": tensorboard, "wandb": wandb}


@contextmanager
def browser(patience: float) -> Iterator[Callable[[str], None] | None]:
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
            page.goto(address, timeout=1e3 * patience)
            page.wait_for_selector("line-chart canvas", timeout=1e3 * patience)

        yield open_page


def peers(python: str | None, folder: Path, sizes: Sequence[int], patience: float) -> Iterator[str]:
    """Yield what became of each other dashboard: seconds to its first picture, or why there are none.

    `python` is one that has them; each gets the first of the sizes that it reads to the end.
    """
    for name in PEERS:
        if python is None:
            yield f"{name}: not measured: give --peers PYTHON, one that has it"
            continue
        for points in sizes:
            fresh = folder / f"{name}-{points}"
            fresh.mkdir()
            words = [python, __file__, name, str(fresh), str(points), str(patience)]
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=7200)
            if done.returncode:
                said = done.stderr.strip().splitlines()
                yield f"{name}, {points:,} points: not measured: {said[-1] if said else 'it failed'}"
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            seconds = (f"{what} after {took:.2f} s" for what, took in found["seconds"].items())
            yield f"{name} {found['version']}, {points:,} points: {', '.join(seconds)}"
            if _GIVEN_UP not in found["seconds"]:
                break


def has_braille(seen: bytes) -> bool:
    """Return whether any dots of a curve were drawn."""
    return any(bytes([0xE2, 0xA0 + block]) in seen for block in range(4))


def _read_until(terminal: int, is_there: Callable[[bytes], bool], patience: float) -> None:
    seen, deadline = b"", time.monotonic() + patience
    while not is_there(seen):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not drawn in {patience:.0f} s")
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


def _until(condition: Callable[[], bool], patience: float) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no curve in {patience:.0f} s")
        time.sleep(0.02)


def main() -> int:
    """Measure one peer and print its version and its seconds as JSON."""
    name, folder, points, patience = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    print(json.dumps({"version": version(name), "seconds": PEERS[name](folder, points, patience)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

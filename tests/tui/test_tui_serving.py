"""The dashboard in a browser, served by a real process and visited the way a browser would."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra `serve`")

SECONDS = 60  # a busy machine starts Python slowly


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def served(home: Path, port: int, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a home; give the process and the address it prints."""
    words = [sys.executable, "-m", "fsrun", "tui", "--serve", "--port", str(port), *options]
    environment = os.environ | {"FSRUN_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 0


def page(address: str) -> str:
    directly = build_opener(ProxyHandler({}))
    with directly.open(address, timeout=SECONDS) as answer:
        return str(answer.read().decode())


async def screen_of(address: str, words: bytes) -> bytes:
    """Return what a visitor's terminal is sent, up to the words."""
    received = b""
    url = address.replace("http:", "ws:") + "ws?width=100&height=30"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as line:
        await line.send_json(["focus"])
        while words not in received:
            message = await line.receive(timeout=SECONDS)
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), received[-500:]
            received += message.data if isinstance(message.data, bytes) else b""
    return received


def test_a_page_is_served_to_this_machine_alone_behind_a_secret_and_shows_the_dashboard(
    tmp_path: Path,
) -> None:
    port = free_port()
    with served(tmp_path, port) as (process, address):
        assert address.startswith(f"http://127.0.0.1:{port}/")
        assert len(address.rstrip("/").rpartition("/")[2]) >= 20
        html = page(address)
        assert "<div>fsrun</div>" in html
        assert f"{address.replace('http:', 'ws:')}ws" in html
        for elsewhere in ("", "ws", "static/js/textual.js"):
            with pytest.raises(HTTPError, match="404"):
                page(f"http://127.0.0.1:{port}/{elsewhere}")
        listening = [
            each for each in psutil.Process(process.pid).net_connections() if each.status == "LISTEN"
        ]
        assert {each.laddr.ip for each in listening} == {"127.0.0.1"}
        asyncio.run(screen_of(address, b"No runs yet"))
    assert (tmp_path / "fsrun.db").is_file()


def test_a_port_that_is_taken_is_named_in_one_line(tmp_path: Path) -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        words = [sys.executable, "-m", "fsrun", "tui", "--serve", "--port", port]
        environment = os.environ | {"FSRUN_HOME": str(tmp_path)}
        done = subprocess.run(
            words, capture_output=True, text=True, env=environment, timeout=SECONDS, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"fsrun: port {port} cannot be used (")
    assert done.stderr.endswith("name another with --port\n")


def test_a_port_without_serving_is_wrong_usage(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "fsrun", "tui", "--port", "8001"]
    environment = os.environ | {"FSRUN_HOME": str(tmp_path)}
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, timeout=SECONDS, check=False
    )
    assert done.returncode == 2
    assert "add --serve" in done.stderr

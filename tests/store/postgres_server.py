"""A PostgreSQL server of the tests' own, on the loopback interface and a free port, with a password.

Not here: any test.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

PATIENCE = 60.0  # seconds that the server may take to start or to stop
USER = "fsrun"

_SETTINGS = {
    "fsync": "off",  # nothing here must outlive the computer
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    password: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        """Return the URL of a database, as FSRUN_DB_URL takes it."""
        url = URL.create("postgresql+psycopg", USER, self.password, "127.0.0.1", self.port, database)
        return url.render_as_string(hide_password=False)

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """Make a copy of a database, and drop it at the end; gives its name."""
        name = f"test_{next(self.numbers)}"
        self.order(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield name
        finally:
            self.order(f'DROP DATABASE "{name}" WITH (FORCE)')

    def order(self, statement: str) -> None:
        """Execute a statement that no transaction may surround."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)


def find_programs() -> Path | None:
    """Return the folder with the server's programs, the newest version's; None if there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    initdb = debian[-1] if debian else shutil.which("initdb")
    return Path(initdb).parent if initdb else None


@contextmanager
def serving(programs: Path) -> Iterator[Server]:
    """Run a new server in a folder of its own until the end; then both are gone."""
    root = Path(tempfile.mkdtemp(prefix="fsrun-postgres-"))
    server = Server(_free_port(), secrets.token_hex(8))
    try:
        _make_cluster(programs, root, server.password)
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        words = [str(programs / "postgres"), "-D", str(root / "data"), "-p", str(server.port), *settings]
        with _start(words, root, "server.log") as process:
            try:
                _wait_until_it_answers(server, process, root / "server.log")
                yield server
            finally:
                _stop(process)
    finally:
        shutil.rmtree(root)


def _make_cluster(programs: Path, root: Path, password: str) -> None:
    (root / "password").write_text(password)
    account = _account()
    if account:
        for path in (root, root / "password"):
            os.chown(path, account.pw_uid, account.pw_gid)
    words = ["--no-sync", "--encoding=UTF8", "--no-locale", f"--username={USER}", "--auth=scram-sha-256"]
    folders = [f"--pwfile={root / 'password'}", f"--pgdata={root / 'data'}"]
    with _start([str(programs / "initdb"), *words, *folders], root, "initdb.log") as process:
        code = process.wait(PATIENCE)
    assert code == 0, (root / "initdb.log").read_text()


def _account() -> pwd.struct_passwd | None:
    """Return whom the server runs as: it refuses root; None means whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    return next(each for each in pwd.getpwall() if each.pw_name in ("postgres", "nobody"))


def _start(words: Sequence[str], root: Path, log: str) -> subprocess.Popen[bytes]:
    account = _account()
    # Where there is setpriv, the server also ends if the tests are killed.
    guard = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
    with (root / log).open("wb") as output:
        return subprocess.Popen(
            [*guard, *words],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the tests, which then stop the server
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, log.read_text()
        with suppress(OperationalError):
            return server.order("SELECT 1")
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Have the server close all connections and end, by force if it does not."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

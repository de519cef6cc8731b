"""A server that speaks S3, as a process on the loopback interface and a free port.

Not here: any test. Its objects end with it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0  # seconds it may take to start
BUCKET = "lab"

_KEYS = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class S3:
    """A running server, and what the environment of its users says."""

    endpoint: str
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """The URL of a folder in its bucket, as FSRUN_STORAGE takes it."""
        return f"s3://{BUCKET}/fsrun"


@contextmanager
def s3_server(folder: Path, **settings: str) -> Iterator[S3]:
    """Run a server with an empty bucket; `settings` are those of moto."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    environment = {**_KEYS, "AWS_ENDPOINT_URL": endpoint, "AWS_CONFIG_FILE": str(folder / "none")}
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
            env={**os.environ, **settings},
        )
    try:
        _wait_for(port, process)
        yield S3(endpoint, environment)
    finally:
        process.terminate()
        process.wait()


def make_bucket(server: S3) -> None:
    """Make the bucket, as its owner."""
    import s3fs

    owner = s3fs.S3FileSystem(key="somebody", secret="secret", endpoint_url=server.endpoint)
    owner.call_s3("create_bucket", Bucket=BUCKET)  # one action, where mkdir asks first


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            assert process.poll() is None, "the server ended at once"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.1)
        else:
            return

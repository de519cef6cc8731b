"""The dashboard in a browser on this machine: the only file that knows textual-serve.

Not here: the dashboard; each visit starts one in a process of its own.
"""

import shlex
from collections.abc import Callable
from secrets import token_urlsafe

from experiments.machine import python_command
from fsrun.errors import FsrunError

LOOPBACK = "127.0.0.1"


def serve(port: int, *, read_only: bool, say: Callable[[str], None]) -> None:
    """Serve until interrupted, to this machine alone; the secret in the address keeps its other users out.

    The address is said once it can be visited. Raises FsrunError where the port is taken or textual-serve is
    not installed.
    """
    try:
        from aiohttp import web  # not installed with fsrun itself
        from textual_serve.server import Server
    except ImportError as error:
        raise FsrunError(
            "--serve needs textual-serve, which is not installed: pip install 'fsrun[serve]'"
        ) from error

    words = python_command("-m", "fsrun", "tui", *(["--read-only"] if read_only else []))
    server = Server(shlex.join(words), host=LOOPBACK, port=port, title="fsrun")
    secret = token_urlsafe(16)

    async def below_the_secret() -> web.Application:
        inner = await server._make_app()
        inner.on_startup.clear()  # it would print more than the address
        outer = web.Application()
        outer.add_subapp(f"/{secret}", inner)
        return outer

    try:
        web.run_app(
            below_the_secret(),
            host=LOOPBACK,
            port=port,
            access_log=None,
            print=lambda _: say(f"Ctrl-C ends it. The dashboard is at http://{LOOPBACK}:{port}/{secret}/"),
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise FsrunError(f"port {port} cannot be used ({reason}): name another with --port") from error

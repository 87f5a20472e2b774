"""`stillhouse ui`: Dagster's webserver behind a guard, in this process, with daemon and code server behind it.

Belongs here: address, token, start and end of the processes.
Does not: which requests are refused (guard.py), what runs behind the webserver (services.py).
"""

import errno
import json
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_MAX_OVERFLOW, DEFAULT_POOL_RECYCLE
from dagster_webserver.version import __version__

from orchestration.guard import Authority, Guard, Rules, is_wildcard, names_of
from orchestration.instance import initialise
from orchestration.reports import WithReports
from orchestration.runs import LOCATION
from orchestration.terminal import Terminal
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home, Project, setting
from stillhouse.hosts import is_loopback

TOKEN_VARIABLE = "STILLHOUSE_UI_TOKEN"
PORTS = range(3000, 3100)
"""Tried in order when none is asked for."""

_TOKEN = re.compile(r"[A-Za-z0-9_.~-]{16,}")  # as it is in a cookie and in an address, and too long to be guessed
_POLL_MILLISECONDS = 2000  # how often a page asks for news, as with `dagster dev`
_WAIT_SECONDS = 180  # for the code server: it imports everything once
_SHUTDOWN_SECONDS = 3  # for open requests and websockets of browsers


@dataclass(frozen=True)
class UiListening:
    """Where and how the UI is served.

    Args:
        host: name or IP address to listen on; one that is not loopback asks for a token.
        port: the port; the first free one from 3000 when left out.
        addresses: what browsers type where a proxy stands in front, such as `https://stillhouse.example.com`.
        read_only: refuse everything that changes something.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    addresses: tuple[str, ...] = ()
    read_only: bool = False


def serve(home: Home, listening: UiListening, terminal: Terminal) -> bool:
    """Serve the UI until Ctrl-C or SIGTERM, and end every process of it.

    Args:
        home: the installation, already made ready.
        listening: where and how.
        terminal: where its address is printed.

    Returns:
        Whether it was ended by a person; False when daemon or code server ended by themselves.

    Raises:
        StillhouseError: if it cannot listen there, an address cannot be read or the token is too weak.
    """
    given = setting(TOKEN_VARIABLE)
    os.environ.pop(TOKEN_VARIABLE, None)  # no process behind the webserver needs it
    rules = rules_for(listening, given)
    _route_signals_and_logs(terminal)
    with closing(_listen(listening)) as listener:
        try:
            with _services(home, terminal) as services:
                address = _address(listening, listener, rules, token=f"${TOKEN_VARIABLE}" if given else rules.token)
                return _webserver(home, listener, rules, services, lambda: _announce(terminal, home, address, rules))
        except KeyboardInterrupt:
            return True


def rules_for(listening: UiListening, given_token: str | None) -> Rules:
    """What the guard allows there; where another machine can ask, a token is required, and made if none was given.

    Args:
        listening: where and how.
        given_token: the user's own token, or None.

    Raises:
        StillhouseError: if an address is none, or the given token could be guessed or not be sent.
    """
    if given_token is not None and _TOKEN.fullmatch(given_token) is None:
        raise StillhouseError(
            "the token cannot be used",
            where=TOKEN_VARIABLE,
            expected="at least 16 letters, digits and . _ ~ -",
            do="`python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes one.",
        )
    names, https = set(names_of(listening.host)), set()
    for address in listening.addresses:
        parts = urlsplit(address)
        authority = Authority.read(parts.netloc)
        if parts.scheme not in ("http", "https") or authority is None or parts.path.strip("/") or parts.query:
            raise StillhouseError(
                "not an address of a server",
                where=f"--address {address}",
                expected="such as https://stillhouse.example.com",
                do="Give what a browser shows, without a path.",
            )
        names.add(authority.name)
        https |= {authority.name} if parts.scheme == "https" else set()
    exposed = bool(listening.addresses) or not is_loopback(listening.host)
    return Rules(
        names=frozenset(names),
        any_ip=is_wildcard(listening.host),
        token=given_token or (secrets.token_urlsafe(32) if exposed else None),
        read_only=listening.read_only,
        https=frozenset(https),
    )


def _listen(listening: UiListening) -> socket.socket:
    """Take the port before anything is started, so that nobody else gets it meanwhile."""
    ports = PORTS if listening.port is None else [listening.port]
    for port in ports:
        try:
            family, _, _, _, place = socket.getaddrinfo(listening.host, port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(place[:2], family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StillhouseError(
                    f"cannot listen there ({error.strerror})",
                    where=f"{listening.host} port {port}",
                    expected="a name or address of this machine, and a port that you may use",
                    do="Leave out --host and --port for the usual ones.",
                ) from error
    raise StillhouseError(
        "in use by another program",
        where=f"port {ports[0]}" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]}",
        expected="a free port",
        do="Leave out --port to get the first free one, or give another.",
    )


def _address(listening: UiListening, listener: socket.socket, rules: Rules, token: str | None) -> str:
    """What to open in a browser; with the token, where one is needed."""
    port = listener.getsockname()[1]
    host = socket.gethostname() if rules.any_ip else listening.host
    server = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    server = listening.addresses[0].rstrip("/") if listening.addresses else server
    return server if token is None else f"{server}/?token={token}"


def _announce(terminal: Terminal, home: Home, address: str, rules: Rules) -> None:
    terminal.say(f"Dagster UI of {home.root}: {address}")
    if rules.read_only:
        terminal.print("read-only: nothing can be launched or changed here")
    if rules.token is not None:
        terminal.print("Whoever has the token may do what you may. It is shown once, and asked for once a browser.")
    terminal.print("Ctrl-C ends it, and every run that it has started.", style="dim")


def _route_signals_and_logs(terminal: Terminal) -> None:
    """End by Ctrl-C, SIGTERM and a closed terminal alike; show what Dagster logs, which may quote rows, clean."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)

    class ToTerminal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            terminal.say(self.format(record))

    logging.basicConfig(level=logging.WARNING, handlers=[ToTerminal()], force=True)


@contextmanager
def _services(home: Home, terminal: Terminal) -> "Iterator[Services]":
    """Code server and daemon, in a group of their own that a keeper ends with this process, however it ends."""
    project = Project.here()
    variables_in = str(project.root if project else home.root)
    with TemporaryDirectory(prefix="stillhouse-ui-") as folder:
        workspace = Path(folder) / "workspace.yaml"
        command = [sys.executable, "-m", "orchestration.services", str(workspace)]
        keeper = subprocess.Popen(
            [sys.executable, "-m", "orchestration.keeper", *command],
            cwd=CHECKOUT,
            # As `dg dev` does: variables in a file .env of the project reach the code server. It works in the folder of
            # the code, where a folder of the user's that is called `assets` hides none of ours.
            env={
                **os.environ,
                **home.environment(),
                "DAGSTER_PROJECT_ENV_FILE_PATHS": json.dumps({LOCATION: variables_in}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert keeper.stdin is not None
        threading.Thread(target=_relay, args=(keeper, terminal), daemon=True).start()
        try:
            yield Services(keeper, workspace)
        finally:
            keeper.stdin.close()
            keeper.wait()


def _relay(keeper: subprocess.Popen[bytes], terminal: Terminal) -> None:
    assert keeper.stdout is not None
    for line in keeper.stdout:
        terminal.say(line.decode(errors="replace").rstrip())


@dataclass(frozen=True)
class Services:
    """Code server and daemon while they run.

    Args:
        keeper: ends when they do.
        workspace: file that says where the code server is, once it answers.
    """

    keeper: subprocess.Popen[bytes]
    workspace: Path

    def wait_until_ready(self) -> bool:
        """Whether the code server answers; False if it ended or takes too long."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self.workspace.exists():
            if self.keeper.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True


def _webserver(
    home: Home, listener: socket.socket, rules: Rules, services: Services, ready: Callable[[], None]
) -> bool:
    """Serve until somebody ends it; see `serve`."""
    if not services.wait_until_ready():
        return False
    with (
        initialise(home) as instance,
        WorkspaceProcessContext(
            instance, WorkspaceFileTarget([str(services.workspace)]), version=__version__, read_only=rules.read_only
        ) as context,
    ):
        instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
        webserver = create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MILLISECONDS)
        app = Guard(WithReports(webserver, home.reports), rules)
        server = _Server(
            uvicorn.Config(
                app,
                # Headers of any length fill the memory under httptools, and a body beside `Upgrade` is lost.
                http="h11",
                log_config=None,
                access_log=False,  # an address may hold the token
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            ),
            ready,
        )
        threading.Thread(target=_end_with, args=(services.keeper, server), daemon=True).start()
        server.run(sockets=[listener])
        return services.keeper.poll() is None


def _end_with(keeper: subprocess.Popen[bytes], server: uvicorn.Server) -> None:
    keeper.wait()
    server.should_exit = True


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

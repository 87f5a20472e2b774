"""One server process, from its start to its end.

Belongs here: putting endpoints, follower and web server together, listening, ending.
Does not: the command (orchestration/commands/serving.py), a request (app.py).
"""

import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

from stillhouse.errors import StillhouseError
from stillhouse.home import Home, recipes_folder
from stillhouse.live.memory import MemoryLimits
from stillhouse.packages import how_to_install
from stillhouse.recipe.reading import RecipeFile, recipes_in
from stillhouse.records.builds import BuildStore
from stillhouse.release.cascade import TeacherOnCall
from stillhouse.serving.answer import Serving
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.tokens import Access, Tokens
from stillhouse.serving.traffic_logs import keep_promises, log_of

if TYPE_CHECKING:
    from stillhouse.serving.teacher import ServingTeacher

LOG = logging.getLogger("stillhouse.serving")

KEEP_ALIVE_SECONDS = 75
"""Longer than a load balancer keeps a connection that it may use again at any moment (nginx: 60)."""
_LAST_REQUESTS_SECONDS = 30
_BACKLOG = 2048
_TRY_AGAIN_SECONDS = 600.0


@dataclass(frozen=True)
class Listening:
    """Where a server listens.

    Args:
        host: name or address.
        port: 0 takes one that is free.
    """

    host: str
    port: int


def run(
    home: Home, files: Sequence[RecipeFile], where: Listening, say: Callable[[str], object], replica: str | None = None
) -> None:
    """Serve the champions of some recipes until SIGTERM or Ctrl-C; requests that are under way then are answered.

    Args:
        home: the installation.
        files: the recipes.
        where: to listen.
        say: takes a line about what is served, and where.
        replica: name of this server among those of the installation; by host and port when None.

    Raises:
        StillhouseError: if a package of the extra `serve` is missing, the address cannot be listened on, or other
            machines can reach it and there is no token.
    """
    uvicorn = _web_server()
    from stillhouse.serving.app import Server
    from stillhouse.serving.connections import Connection

    tokens = Tokens(home.serving)
    access = Access(tokens, where.host)
    builds = BuildStore(home)
    slots = {file.name: _slot(file, builds) for file in files}
    with _listening(where) as listener, ExitStack() as ending, suppress(KeyboardInterrupt):
        # Before a log is opened: one that is ended at its very start sends what an earlier process has left, too. And
        # when the last requests are answered uvicorn sends itself the signal again, which by default would end it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        own = replica or f"{socket.gethostname()}-{listener.getsockname()[1]}"
        logs = {file.name: log_of(home, file, own) for file in files if file.recipe.traffic is not None}
        for log in logs.values():
            ending.callback(log.close)  # after the last answer
        follower = Follower(builds, slots, tokens, own)
        server = Server(slots, RequestIds.of(home.serving), access, logs)
        config = uvicorn.Config(
            server,
            http=Connection,
            ws="none",
            loop="uvloop",
            lifespan="off",
            access_log=False,  # an address may name people
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # nothing is said or decided by where a request came from
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
        )
        ended = threading.Event()
        ending.callback(ended.set)
        threading.Thread(target=_keep_promises, args=(home, ended), name="keeps promises", daemon=True).start()
        try:
            follower.start()
            listener.listen(_BACKLOG)  # before it is said: who connects from then on is answered
            for slot in slots.values():
                say(f"{slot.name}: {_in_words(slot.serving)}")
            say(f"http://{_authority(where.host, listener.getsockname()[1])}")
            gc.collect()
            gc.freeze()  # what is there by now stays; a request does not wait until all of it was looked at again
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            follower.stop()


def _keep_promises(home: Home, ended: threading.Event) -> None:
    """Once a day, as long as a server runs: where a recipe keeps nothing any more it may be all that runs of it."""
    kept: date | None = None
    while True:
        today = datetime.now(UTC).date()
        if today != kept:
            try:
                keep_promises(home, recipes_in(recipes_folder()), today)
                kept = today
            # Each fsspec backend raises errors of its own; it is tried again, and nobody waits for it.
            except Exception as error:
                LOG.warning("what no recipe keeps any more cannot be looked at (%s)", type(error).__name__)
        if ended.wait(_TRY_AGAIN_SECONDS):
            return


def _slot(file: RecipeFile, builds: BuildStore) -> Slot:
    slot = Slot(
        file.name,
        file.recipe.serving,
        open_teacher=partial(_open_teacher, file, builds),
        notify=tuple(file.recipe.addresses.values()),
        watched=file.recipe.watch is not None,
        feedback_share=None if file.recipe.traffic is None else file.recipe.traffic.asks_for,
        shadow_share=file.recipe.shadow_share,
        memory=MemoryLimits.of(file.recipe),
    )
    rollout = file.recipe.rollout
    return slot if rollout is None else replace(slot, keep_warm=rollout.keep_warm)


def _open_teacher(file: RecipeFile, builds: BuildStore, on_call: TeacherOnCall) -> "ServingTeacher":
    from stillhouse.serving.teacher import open_teacher  # of no use where no release has a cascade

    return open_teacher(file, builds, on_call)


def _in_words(serving: Serving | None) -> str:
    if serving is None:
        return "nothing to serve yet"
    return f"{serving.champion.record.student} {serving.champion.release[:12]}"


def _web_server() -> ModuleType:
    missing = [name for name in ("httptools", "prometheus_client", "uvloop") if find_spec(name) is None]
    if missing:
        raise StillhouseError(
            f"{', '.join(missing)} cannot be imported",
            where="serve",
            expected="the packages of the extra `serve`",
            do=how_to_install("serve"),
        )
    return import_module("uvicorn")


def _listening(where: Listening) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise StillhouseError(
            f"cannot be listened on ({error.strerror})",
            where=_authority(where.host, where.port),
            expected="an address of this machine, and a port that is free",
            do="Name others with --host and --port.",
        ) from error
    return listener


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

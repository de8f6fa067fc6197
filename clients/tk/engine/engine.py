"""The thread that talks to the servers. Rule: it knows no window, and whatever happens in it reaches the model as a report.

engine = Engine(bridge, Paths.of_this_person(), server=…, handle=…)
engine.start()     # from the views' thread, after the bridge is there
…
engine.stop()      # logs off, so that contacters see it at once
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable

import structlog

from clients.tk.disk.grants import Grants
from clients.tk.disk.messages import Storage
from clients.tk.disk.paths import Paths
from clients.tk.disk.schema import AlreadyOpen, Unusable
from clients.tk.engine.bridge import Bridge
from clients.tk.engine.error_sentences import sentence
from clients.tk.engine.session import Session
from clients.tk.model import effects as fx
from clients.tk.model.inputs import SignedOut, SigningIn, Trouble
from clients.tk.model.values import DEFAULT_SERVER, Account
from flash_sdk import Disconnected, FlashClient, FlashClientError, Grant, Refused, Unauthorized
from flash_sdk.tasks import end

CLIENT = "tk/1.0"
STOP_S = 5.0  # closing the window must end the program, even when the network hangs
AGAIN_S = 5.0  # after a fault of our own: soon enough to go unnoticed, and slow enough not to spin
_log = structlog.get_logger("flash.tk")


def connect_to(server: str) -> FlashClient:
    """The client for a server. Raises `ValueError` when it is no HTTP URL."""
    return FlashClient(server, client=CLIENT)


class Engine:
    """Signs in, runs the session of the user who is signed in, and signs out."""

    def __init__(
        self,
        bridge: Bridge,
        paths: Paths,
        *,
        server: str | None = None,
        handle: str | None = None,
        use_keyring: bool = True,
        direct: bool = False,
        connect: Callable[[str], FlashClient] = connect_to,
    ) -> None:
        """`server`, `handle`: the user to sign in, if a grant of theirs is remembered; else the last user. `direct`: popups may come and
        go directly between clients. `connect`: makes the client for the URL of a server."""
        self._bridge = bridge
        self._paths = paths
        self._wanted = (server, handle)
        self._use_keyring = use_keyring
        self._direct = direct
        self._connect = connect
        self._thread = threading.Thread(target=self._run, name="flash-engine", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._commands: asyncio.Queue[fx.Command | None] = asyncio.Queue()  # None: stop
        self._session: Session | None = None
        self._storage: Storage | None = None
        self._account: Account | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the thread, and take commands from the bridge. Call once."""
        self._thread.start()
        self._ready.wait()
        self._bridge.bind(self._submit)

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Log off and end the thread. Give up waiting after `timeout_s`, because everything on disk is safe in any case."""
        self._submit(None)
        self._thread.join(timeout_s)

    def _submit(self, command: fx.Command | None) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, so nothing is left that could be asked
                self._loop.call_soon_threadsafe(self._commands.put_nowait, command)

    # --- the engine's thread ---

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        grants = await asyncio.to_thread(Grants, self._paths.config, use_keyring=self._use_keyring)
        await self._begin_with_what_is_remembered(grants)
        while (command := await self._commands.get()) is not None:
            match command:
                case fx.DoSignIn():
                    await self._end()
                    self._close()
                    self._bridge.report(SigningIn(command.server, command.handle))
                    self._running = asyncio.create_task(self._sign_in(grants, command))
                case fx.DoSignOut():
                    await self._sign_out(grants)
                case _:
                    if self._session is not None:
                        self._session.obey(command)
        await self._end()
        self._close()

    async def _begin_with_what_is_remembered(self, grants: Grants) -> None:
        server, handle = self._wanted
        last = await asyncio.to_thread(grants.last)
        if handle is not None:
            last = await asyncio.to_thread(grants.find, server or (last.server if last else DEFAULT_SERVER), handle)
        elif server is not None and (last is None or last.server.rstrip("/") != server.rstrip("/")):
            last = None
        if last is None or last.grant is None:
            self._bridge.report(SignedOut("", server or (last.server if last else DEFAULT_SERVER), last.handle if last else ""))
            return
        self._bridge.report(SigningIn(last.server, last.handle))
        self._running = asyncio.create_task(self._stay(grants, last.server, last.grant))

    async def _sign_in(self, grants: Grants, wanted: fx.DoSignIn) -> None:
        try:
            async with self._connect(wanted.server) as client:
                if wanted.register:
                    profile = {"full_name": wanted.full_name} if wanted.full_name else {}
                    grant = await client.register(wanted.handle, wanted.password, profile)
                else:
                    grant = await client.login(wanted.handle, wanted.password)
        except (FlashClientError, ValueError) as error:
            self._bridge.report(SignedOut(sentence(error), wanted.server, wanted.handle))
            return
        await self._stay(grants, wanted.server, grant, keep=True)

    async def _stay(self, grants: Grants, server: str, grant: Grant, *, keep: bool = False) -> None:
        """Stay signed in until signed out."""
        account = Account(server, grant.uid, grant.handle)
        try:
            storage = Storage(self._paths.data, account)
        except (AlreadyOpen, Unusable) as error:
            self._bridge.report(SignedOut(str(error), server, grant.handle))
            return
        self._storage, self._session, self._account = storage, Session(self._bridge, storage, direct=self._direct), account
        self._bridge.report(storage.load())
        if keep:
            await self._remember(grants, server, grant)
        why = ""
        while not why:
            why = await self._once(self._session, grants, account, grant)
        self._bridge.report(SignedOut(why, server, grant.handle))

    async def _once(self, session: Session, grants: Grants, account: Account, grant: Grant) -> str:
        """Run one client until it ends. Gives the reason when it must not begin again, else an empty text."""
        try:
            async with self._connect(account.server) as client:
                client.use(grant)
                return await session.run(client)
        except Refused as error:
            if isinstance(error, Unauthorized) or error.code == "not_your_home":
                await asyncio.to_thread(grants.forget, account.server, account.handle)
            return sentence(error)
        except Exception:
            _log.exception("tk.session_failed")
            self._bridge.report(Trouble("Something went wrong in this program; it connects again by itself."))
            reason = "lost"
        self._bridge.report(Disconnected(reason, AGAIN_S))
        await asyncio.sleep(AGAIN_S)
        return ""

    async def _remember(self, grants: Grants, server: str, grant: Grant) -> None:
        try:
            await asyncio.to_thread(grants.keep, server, grant)
        except OSError as error:
            _log.warning("tk.grant_not_kept", errno=error.errno)
            self._bridge.report(Trouble("Your login could not be remembered: you will be asked again at the next start."))

    async def _sign_out(self, grants: Grants) -> None:
        account = self._account
        await self._end()
        if account is not None:
            await asyncio.to_thread(grants.forget, account.server, account.handle)
        self._bridge.report(SignedOut("", account.server if account else "", account.handle if account else ""))

    def _close(self) -> None:
        """Close the file. This happens when nothing more can be asked for that user, not at the sign-out: the windows hear of a sign-out
        a little later, and what the person writes until then must be kept."""
        storage, self._storage, self._session, self._account = self._storage, None, None, None
        if storage is not None:
            storage.close()

    async def _end(self) -> None:
        """Leave the session that runs, if there is one. It goes on to obey commands for the disk."""
        task, self._running = self._running, None
        await end(task)

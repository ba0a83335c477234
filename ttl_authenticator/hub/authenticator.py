"""The authenticator that administrators configure: traits and hooks.

Runs in the hub; thin: decisions are in ``core``, the hub's side of them beside this.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jupyterhub.auth import Authenticator
from jupyterhub.utils import maybe_future
from traitlets import List, Unicode, default

from ..core.log import OneLine
from ..core.session import Reason
from . import (
    agent_endpoint,
    auth_state,
    guard,
    guarded,
    handlers,
    limit_checks,
    messages,
    policy_traits,
    signing_in,
    startup,
    wrapping,
)
from .agents import Server
from .bootstrap import MODES, Bootstrap
from .hooks import Hook
from .spawner_forms import FORMS
from .traits import Choice, Duration, Flag, Parameters, Texts
from .upstream import Upstream

if TYPE_CHECKING:
    from .sessions import HubSessions


class TTLAuthenticator(Authenticator):
    """Session lifetime and idle limits around any other authenticator."""

    ttl_wraps: type | None = None
    """The wrapped class; set on the subclass that an instance is made of."""

    ttl_clock = staticmethod(time.time)
    """UTC seconds; a subclass may tell another time."""

    sessions: HubSessions | None = None
    """The hub's sessions, once it has routes."""

    authenticator_class = wrapping.wrapped_trait()

    idle_timeout = policy_traits.IDLE_TIMEOUT
    max_lifetime = policy_traits.MAX_LIFETIME
    warning_period = policy_traits.WARNING_PERIOD
    heartbeat_interval = policy_traits.HEARTBEAT_INTERVAL
    profile = policy_traits.PROFILE
    group_limits = policy_traits.GROUP_LIMITS
    user_limits = policy_traits.USER_LIMITS
    admin_limits = policy_traits.ADMIN_LIMITS
    group_rule = policy_traits.GROUP_RULE
    limits_hook = policy_traits.LIMITS_HOOK

    end_hook = Hook(
        "authenticator",
        "user",
        "session",
        "reason",
        help="""Called at each end: async (authenticator, user, session, reason).

        "session" has reference, user (a name), issued_at, active_at and ended_at (UTC
        seconds); "reason" is idle, lifetime, logout, revoked, replaced or upstream;
        "user" is None if it was deleted. It has 5 seconds; that it fails is logged,
        and changes nothing. After a crash of the hub it may be called again for the
        same session. None: no hook.""",
    ).tag(config=True)

    report_only = Flag(
        False,
        help="""Log and count which sessions would end, and end none.

        Nobody is signed out or warned by this plugin; signing out oneself works. For
        a look at what limits would do.""",
    ).tag(config=True)

    reauthenticate = Flag(
        True,
        help="""After an end, ask the identity provider to authenticate the person anew.

        Where a session of the browser has ended, or a live one is renewed, an OAuth
        login goes out with reauthenticate_params, and if the provider's ID token says
        when the person was authenticated (auth_time), one from before the end is
        refused. With auto_login, nobody is signed in without a click then. False:
        sign in as the provider likes. Under report_only nothing of this is done.""",
    ).tag(config=True)

    reauthenticate_params = Parameters(
        help="""What is added to a provider's address to have it authenticate anew.

        A dict of strings, on top of OAuthenticator.extra_authorize_params, in place of
        those of the same name. None: {"prompt": "login"}; for Google and GitHub, which
        don't ask for a password again, {"prompt": "select_account"}.""",
    ).tag(config=True)

    max_age_from_lifetime = Flag(
        False,
        help="""Send the shortest max_lifetime that is configured as max_age.

        With every OAuth login, so that the provider asks whoever it authenticated
        longer ago; an ID token whose auth_time is older is refused. False: don't.""",
    ).tag(config=True)

    upstream_grace = Duration(
        "1h",
        allow_none=True,
        help="""How long a user may go on while the wrapped authenticator can't answer.

        JupyterHub asks it again about people who are signed in (auth_refresh_age,
        refresh_pre_spawn). While its provider answers with 5xx, not in time or not at
        all, its last good answer stands; this is since that answer, since the hub's
        start, or for somebody long away since the first question without one. Then the
        sessions end, reason upstream; a refusal ends them at once.
        Forms as for idle_timeout. None: for as long as the other limits allow.""",
    ).tag(config=True)

    clear_auth_state = Flag(
        True,
        help="""Forget a user's auth_state when their last session ends.

        The next sign-in stores it anew. False: keep it.""",
    ).tag(config=True)

    agent = Choice(
        MODES,
        "inject",
        help="""How our extension gets into users' servers.

        It shows the timer in JupyterLab and Notebook pages, reports activity in them,
        and closes websockets when a session ends. "inject": it is sent along with
        each spawn, and nothing is installed in users' images. "installed": the images
        have this package. "off": none; work in a server is no activity, and its open
        websockets outlive the session. One server is exempted by TTL_AGENT=off in its
        spawner's environment, set by a profile or pre_spawn_hook.""",
    ).tag(config=True)

    agent_python = Unicode(
        "python3",
        help="""The Python that unpacks the agent when a server starts.

        A name or path in the users' images, 3.6 or newer; it need not be the one that
        the server runs in, which has to be 3.8 or newer.""",
    ).tag(config=True)

    agent_form = Choice(
        FORMS,
        "auto",
        help="""How the agent is put into a spawn.

        "cmd": the spawner's cmd gets a prefix. "batchspawner": the command of its job
        script does. "none": not at all. "auto": by the spawner's class.""",
    ).tag(config=True)

    activity_paths = List(
        Unicode(),
        ["rstudio", "vscode", "desktop"],
        help="""Proxied apps whose pages can't carry the timer.

        Below these prefixes of a server's address, messages that a page sends through
        a websocket and requests other than GET count as activity. An app that sends
        by itself keeps a session alive: name only those that don't. []: none.""",
    ).tag(config=True)

    unmonitored_servers = Choice(
        ("expire", "stop"),
        "expire",
        help="""What to do with a server without an agent when a session of it ends.

        Or with one whose agent doesn't acknowledge a notice within 10 s. "expire":
        its tokens end, websockets that are open stay open. "stop": the server is
        stopped as well.""",
    ).tag(config=True)

    db_url = Unicode(
        "",
        help="""The database of the sessions, as an SQLAlchemy URL.

        Empty: derived from c.JupyterHub.db_url. Beside a hub's SQLite file a file of
        our own (jupyterhub-ttl.sqlite for jupyterhub.sqlite), on a database server the
        hub's own database. The table is ttl_sessions.""",
    ).tag(config=True)

    messages = Texts(
        messages.DEFAULTS,
        help="""Texts that people see, by key; what isn't given keeps its default.

        Why a session ended: idle, lifetime, logout, revoked, replaced, upstream. The
        other keys are the texts of the timer and of the signed-out page.""",
    ).tag(config=True)

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an instance of a subclass of this and of the wrapped class."""
        made: Any = cls
        if cls.ttl_wraps is None:
            with startup.one_clear_message(kwargs.get("parent")):
                made = wrapping.combine(made, wrapping.choose(cls, **kwargs))
        return super(TTLAuthenticator, made).__new__(made, *args, **kwargs)

    def __init__(self, **kwargs: Any) -> None:
        with startup.one_clear_message(kwargs.get("parent")):
            super().__init__(**kwargs)
            self.log: Any = OneLine(self.log)
            self.policy = policy_traits.policy_of(self)
            startup.refuse(limit_checks.beyond_profile(self.policy))
            self.bootstrap = Bootstrap(
                mode=self.agent,
                python=self.agent_python,
                form=self.agent_form,
                log=self.log,
            )

    @classmethod
    def section_names(cls) -> list[str]:
        """List the sections of the configuration, the strongest last.

        The class that an instance is made of has none of its own: by its name, the
        wrapped one's, it would be stronger than ours.
        """
        names: list[str] = super().section_names()
        return names if cls.ttl_wraps is None else names[:-1]

    @default("idle_timeout")
    def _default_idle_timeout(self) -> float:
        return policy_traits.default_of(policy_traits.IDLE_TIMEOUT, self.profile)

    @default("max_lifetime")
    def _default_max_lifetime(self) -> float:
        return policy_traits.default_of(policy_traits.MAX_LIFETIME, self.profile)

    # -- JupyterHub's hooks -----------------------------------------------------

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        """Take over the hub's routes: each of its handlers with the check.

        JupyterHub asks once, when its settings are ready and before it serves.
        """
        with startup.one_clear_message(app):
            self.sessions = startup.start(self, app)
            if auth_state.refreshes(self):
                upstream = Upstream(self, super().refresh_user, self.sessions)
                self.sessions.upstream = upstream
        routes = startup.hub_routes(super().get_handlers(app), app)
        ours = [*handlers.routes(routes), *agent_endpoint.ROUTES]
        login = f"/{self.login_url('/hub/').removeprefix('/hub/')}"
        return guarded.guard_routes([*ours, *routes], login)

    async def authenticate(self, handler: Any, *args: Any, **kwargs: Any) -> Any:
        """Authenticate by the wrapped class, and note for the session who it was.

        Returns:
            What the wrapped class returns.
        """
        model = await maybe_future(super().authenticate(handler, *args, **kwargs))
        if model and isinstance(handler, guard.Guard):
            name = self.normalize_username(signing_in.name_of(model))
            handler.ttl_note_authenticated(name)
        return model

    async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> Any:
        """Check the session where no guarded handler has, then ask the wrapped class.

        Returns:
            As JupyterHub defines it; ``False`` for an ended session.
        """
        refreshed = False
        if not self._is_over(user, handler):
            if self._upstream is None:
                refreshed = await maybe_future(
                    super().refresh_user(user, handler, **kwargs)
                )
            else:
                refreshed = await self._upstream.refresh(user, handler)
            refreshed = refreshed or self._needs_no_auth_state(user, handler)
        if not refreshed and handler is not None:
            # JupyterHub 6.1 reads it after a refusal, but only tokens set it
            vars(handler).setdefault("_token_authenticated", False)
        return refreshed

    def _needs_no_auth_state(self, user: Any, handler: Any) -> bool:
        # With the last session we forgot the auth_state that the wrapped class misses.
        # That is nothing against a personal token or a server's own: they have no
        # limits. A spawn, which may need it, still asks for a login.
        return (
            isinstance(handler, guard.Guard)
            and getattr(handler, "_token_authenticated", False)
            and not handler.ttl_refresh_forced
            and auth_state.is_forgotten(self, user)
            and not (self._upstream and self._upstream.refuses(user.id))
        )

    @property
    def _upstream(self) -> Upstream | None:
        return self.sessions.upstream if self.sessions is not None else None

    def _is_over(self, user: Any, handler: Any) -> bool:
        # guarded handlers have checked; other users are not judged by this cookie
        if self.sessions is None or handler is None or isinstance(handler, guard.Guard):
            return False
        return self.sessions.is_over(handler, user)

    async def pre_spawn_start(self, user: Any, spawner: Any) -> None:
        """Send the agent along with a spawn, after the wrapped class's hook."""
        await maybe_future(super().pre_spawn_start(user, spawner))
        self.bootstrap.prepare(spawner)

    async def post_spawn_stop(self, user: Any, spawner: Any) -> None:
        """Forget the agent of a server that has stopped."""
        await maybe_future(super().post_spawn_stop(user, spawner))
        if self.sessions is not None:
            self.sessions.agents.forget(Server(user.id, spawner.name))

    def delete_user(self, user: Any) -> Any:
        """End the sessions of a user who is being deleted."""
        if self.sessions is not None:
            for session in self.sessions.registry.of_user(user.id):
                self.sessions.enforcement.end(session, Reason.REVOKED)
        if self._upstream is not None:
            self._upstream.forget(user.id)
        return super().delete_user(user)

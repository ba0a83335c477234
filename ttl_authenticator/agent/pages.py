"""The timer in the pages of this server: Lab, Notebook, nbclassic and others.

Runs in the user's server. Every extension app has a Jinja environment of its own; what
a template sees as ``ttl`` is the session of the request that is being answered.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from jinja2 import DictLoader, Environment
from jupyterhub.utils import url_path_join

from ..page import files, injection

if TYPE_CHECKING:
    from .sessions import AgentSession
    from .watch import Watch

NOTHING = ""
"""Our second include, the hub's notice, has nothing to say here."""

_current: ContextVar[Page | None] = ContextVar("ttl_page", default=None)


class Page:
    """What ``ttl/timer.html`` is rendered from, as on the hub's pages.

    Args:
        pages: the server's.
        handler: of the request.
        session: of the request.
    """

    workspace = True
    reason = message = None

    def __init__(self, pages: Pages, handler: Any, session: AgentSession) -> None:
        self.messages = pages.watch.messages
        self.version = pages.version
        self.base_url = pages.hub_prefix
        self.static_url = pages.static_url
        self.session_url = pages.session_url
        self.signed_out_url = pages.hub_url("ttl/signed-out")
        self.renew_url = pages.hub_url("ttl/renew")
        self.sign_out_url = pages.hub_url("logout")
        self._clock = pages.watch.sessions.clock
        self._handler = handler
        self._session = session

    def __getattr__(self, name: str) -> Any:
        """Return what the hub told of the session, as of now."""
        model = self._session.describe(self._clock())
        if name in model:
            return model[name]
        raise AttributeError(name)

    @property
    def xsrf(self) -> str:
        """Return the token that the page's requests must carry."""
        token = self._handler.xsrf_token
        return token.decode() if isinstance(token, bytes) else str(token)


class CurrentPage:
    """The page of the request under way, for templates; false where there is none."""

    def __bool__(self) -> bool:
        return _current.get() is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(_current.get(), name)


class Pages:
    """The pages of a server.

    Args:
        serverapp: the server.
        hub_auth: JupyterHub's, for the hub's public address.
        watch: the sessions.
    """

    def __init__(self, serverapp: Any, hub_auth: Any, watch: Watch) -> None:
        self.serverapp = serverapp
        self.watch = watch
        self.hub_host, self.hub_prefix = hub_auth.hub_host, hub_auth.hub_prefix
        self.base_url = serverapp.web_app.settings["base_url"]
        self.static_url = url_path_join(self.base_url, "ttl/")
        self.session_url = url_path_join(self.base_url, "ttl/session")
        # in memory: the files are removed when the server has started
        self.version = files.version()
        folder = files.templates() / "ttl"
        self.loader = DictLoader(
            {
                injection.TIMER_TEMPLATE: (folder / "timer.html").read_text("utf-8"),
                injection.NOTICE_TEMPLATE: NOTHING,
            }
        )
        self.environment = Environment(loader=self.loader, autoescape=True)
        self.carried: set[str] = set()
        """Prefixes of ``activity_paths`` below which a page has carried the timer."""
        self._installed = False

    def hub_url(self, path: str) -> str:
        """Return the public address of one of the hub's pages."""
        return f"{self.hub_host}{url_path_join(self.hub_prefix, path)}"

    def is_below(self, path: str, prefix: str) -> bool:
        """Tell whether a request's path lies below a prefix of this server."""
        top = url_path_join(self.base_url, prefix.strip("/"))
        return path == top or path.startswith(top + "/")

    def carry(self, path: str) -> None:
        """Note that a proxied page carries the timer."""
        prefixes = self.watch.activity_paths
        self.carried.update(p for p in prefixes if self.is_below(path, p))

    def begin(self, handler: Any, session: AgentSession) -> None:
        """Note whose page a request may be answered with."""
        if not self._installed:
            # now all extensions have their environments, and no page was made
            self._installed = True
            self.install()
        if session.known:
            page = Page(self, handler, session)
            _current.set(page)
            handler.request.ttl_page = page

    def install(self) -> None:
        """Put the timer into all Jinja environments of the server."""
        settings = self.serverapp.web_app.settings
        for key, environment in settings.items():
            if key.endswith("jinja2_env") and isinstance(environment, Environment):
                injection.install(environment, self.loader)
                environment.globals["ttl"] = CurrentPage()
        self._expose_application(settings)

    def render(self, page: Page) -> str:
        """Render the timer's tags for a page that no template makes."""
        return self.environment.get_template(injection.TIMER_TEMPLATE).render(ttl=page)

    def _expose_application(self, settings: dict[str, Any]) -> None:
        """Let the page's script reach the application, to save documents.

        There are three ways, and no version knows them all.
        """
        settings.setdefault("page_config_data", {})["exposeAppInBrowser"] = True
        stock = settings.get("page_config_hook")

        def hook(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
            if stock is not None:
                page_config = stock(handler, page_config)
            page_config["exposeAppInBrowser"] = True
            return page_config

        settings["page_config_hook"] = hook
        for apps in self.serverapp.extension_manager.extension_apps.values():
            for app in apps:
                if app is not None and app.has_trait("expose_app_in_browser"):
                    app.expose_app_in_browser = True

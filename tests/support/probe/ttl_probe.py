"""A Jupyter Server extension that shows tests what a server's agent has in its books.

Its folder goes on a server's ``PYTHONPATH`` and ``JUPYTER_CONFIG_PATH``.
"""

import gc
import sys

from jupyter_server.utils import url_path_join
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler


def is_open(thing):
    """Tell whether anything is a websocket, and open."""
    # a closed one lies about until Jupyter Server would have pinged it
    return isinstance(thing, WebSocketHandler) and thing.ws_connection is not None


class Probe(RequestHandler):
    """Says how many sessions and handlers are in the books, and websockets open."""

    def get(self):
        gc.collect()
        books = sys.modules["ttl_authenticator.agent.sessions"].Sessions
        alive = gc.get_objects()
        (sessions,) = (thing for thing in alive if type(thing) is books)
        self.finish(
            {
                "sessions": len(sessions),
                "handlers": sum(len(session.handlers) for session in sessions),
                "websockets": sum(is_open(thing) for thing in alive),
            }
        )


def _jupyter_server_extension_points():
    return [{"module": __name__}]


def _load_jupyter_server_extension(serverapp):
    path = url_path_join(serverapp.web_app.settings["base_url"], "probe")
    serverapp.web_app.add_handlers(".*$", [(path, Probe)])

"""An app as jupyter-server-proxy shows it: a page, a stream of events, a websocket.

Run as a program: ``python proxied_app.py PORT [CSP]``.
"""

import asyncio
import contextlib
import sys

from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

PAGE = """<!DOCTYPE html>
<html><head><title>App</title></head><body>
<h1>App</h1><input id="field">
<output id="events">0</output><output id="socket"></output>
<script src="app.js"></script></body></html>"""

SCRIPT = """
window.log = [];
const base = new URL(".", location.href);
const events = new EventSource(new URL("events", base));
events.onmessage = (event) => {
  document.getElementById("events").textContent = event.data;
};
events.onerror = () => window.log.push("events cut");
const socket = new WebSocket(new URL("socket", base).href.replace("http", "ws"));
socket.onopen = () => socket.send("hello");
socket.onmessage = (event) => {
  document.getElementById("socket").textContent = event.data;
};
socket.onclose = (event) => window.log.push(`socket ${event.code}`);
document.getElementById("field").oninput = (event) => socket.send(event.target.value);
"""


class Page(RequestHandler):
    """The page, and what else is asked of it."""

    def get(self):
        if len(sys.argv) > 2:
            self.set_header("Content-Security-Policy", sys.argv[2])
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(PAGE)

    def post(self):
        self.finish("posted")


class Script(RequestHandler):
    """Its script."""

    def get(self):
        self.set_header("Content-Type", "text/javascript")
        self.finish(SCRIPT)


class Events(RequestHandler):
    """A stream that never ends."""

    async def get(self):
        self.set_header("Content-Type", "text/event-stream")
        count = 0
        while True:
            count += 1
            self.write(f"data: {count}\n\n")
            try:
                await self.flush()
            except StreamClosedError:
                return
            await asyncio.sleep(0.1)


class Echo(WebSocketHandler):
    """Answers each message."""

    def check_origin(self, origin):
        return True

    def on_message(self, message):
        self.write_message(f"echo {message}")


async def main():
    """Serve until killed."""
    routes = [("/", Page), ("/app.js", Script), ("/events", Events), ("/socket", Echo)]
    Application(routes).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def serving(*arguments):
    """Run it in a process of its own; give its port."""
    # run as a program, it has no package around it
    from support.ports import free_port

    port = free_port()
    command = (sys.executable, __file__, str(port), *arguments)
    process = await asyncio.create_subprocess_exec(*command)
    try:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main())

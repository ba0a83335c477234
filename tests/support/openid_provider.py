"""An OpenID Connect provider as the tests need it, a program of its own.

Run as ``python -m support.openid_provider PORT``; it listens on loopback only. Any
name signs in, the password is the name backwards. A browser that has signed in is
answered at once (single sign-on), except with ``prompt=login`` or past ``max_age``.
``/control`` breaks it in the ways in which providers break, and tells what it was
asked. Nothing of the product is imported here; ``support.openid`` is for tests.
"""

import asyncio
import base64
import html
import json
import socket
import struct
import sys
from urllib.parse import unquote, urlsplit

import jwt
from tornado.httputil import url_concat
from tornado.web import Application, HTTPError, RequestHandler

from support.openid_state import (
    CLIENT_ID,
    CLIENT_SECRET,
    ENDPOINTS,
    KEY_ID,
    OAuthError,
    Provider,
)

SESSION_COOKIE = "provider-session"

LOGIN_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Provider</title></head><body>
<h1>Sign in at the provider</h1>
<p role="alert" id="error">{error}</p>
<form id="login" method="post">
<label>Name <input name="username" value="{name}" autocomplete="username"></label>
<label>Password <input name="password" type="password"></label>
<button id="sign-in">Sign in</button>
<button id="cancel" name="cancel" value="1">Cancel</button>
</form></body></html>"""


def ours(url):
    """Tell whether an address is one to which a test's browser may be sent."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost")


class Handler(RequestHandler):
    """What all endpoints share."""

    endpoint = None
    """The one of ``ENDPOINTS`` that it is."""

    def initialize(self, provider):
        self.provider = provider
        self.gone = asyncio.Event()

    @property
    def issuer(self):
        """The address under which it was asked."""
        return f"{self.request.protocol}://{self.request.host}"

    def on_connection_close(self):
        self.gone.set()

    def write_error(self, status_code, **kwargs):
        """Answer an OAuth error as such, anything else by its reason."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if not isinstance(error, OAuthError):
            self.finish({"error": self._reason})
            return
        self.set_status(error.status)
        if error.status == 401:
            self.set_header("WWW-Authenticate", f'Bearer error="{error.error}"')
        self.finish({"error": error.error, "error_description": error.description})

    def log_exception(self, typ, value, tb):
        """Keep quiet about what a test asked for."""
        if not isinstance(value, OAuthError):
            super().log_exception(typ, value, tb)

    @property
    def fault(self):
        """What is broken here."""
        return self.provider.behaviour.faults.get(self.endpoint)

    async def prepare(self):
        """Be broken, if so told."""
        if self.fault is None:
            return
        self.provider.faulted.append([self.endpoint, self.fault])
        if self.fault == "hang":
            await self.gone.wait()
            raise HTTPError(503)
        if self.fault == "reset":
            self.reset_connection()
        elif self.fault in ("garbage", "empty"):
            self.set_header("Content-Type", "text/html")
            self.finish("<p>Back soon!</p>" if self.fault == "garbage" else "")
        elif self.fault == "invalid_grant":
            raise OAuthError("invalid_grant", "as the test wants it")
        elif self.fault != "lost":
            status = int(self.fault)
            raise OAuthError("as_the_test_wants_it", f"status {status}", status)

    def finish(self, chunk=None):
        """Answer, unless the answer is to be lost on its way."""
        if self.fault == "lost" and not self._finished:
            self.reset_connection()
            return None
        return super().finish(chunk)

    def reset_connection(self):
        """Drop the connection as a crashed machine does."""
        stream = self.detach()
        linger = struct.pack("ii", 1, 0)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        stream.close()


class Authorize(Handler):
    """Asks for name and password, or answers at once."""

    endpoint = "authorize"

    async def prepare(self):
        asked = {
            name: self.get_query_argument(name) for name in self.request.query_arguments
        }
        self.asked = asked
        if asked.get("client_id") != CLIENT_ID or not ours(
            asked.get("redirect_uri", "")
        ):
            raise HTTPError(400, reason="unknown client or redirect_uri")
        if self.request.method == "GET":
            self.provider.authorize_requests.append(asked)
        await super().prepare()

    @property
    def session(self):
        return self.provider.sessions.get(self.get_cookie(SESSION_COOKIE, ""))

    def get(self):
        if self.asked.get("response_type") != "code":
            self.answer(error="unsupported_response_type")
            return
        prompt = self.asked.get("prompt", "").split()
        if "login" in prompt and not self.provider.behaviour.knows_prompt:
            raise OAuthError("invalid_request", "invalid prompt: login")
        max_age = self.asked.get("max_age")
        session = self.session
        ask = self.provider.must_ask(session, prompt, max_age and int(max_age))
        if not ask:
            self.provider.counters["silent_logins"] += 1
            self.answer(code=self.provider.code_for(session, self.asked))
        elif "none" in prompt:
            self.answer(error="login_required")
        else:
            self.provider.counters["logins_shown"] += 1
            self.show(name=self.asked.get("login_hint", ""))

    def post(self):
        if self.get_body_argument("cancel", ""):
            self.answer(error="access_denied")
            return
        name = self.get_body_argument("username", "")
        provider = self.provider
        session_id = provider.sign_in(name, self.get_body_argument("password", ""))
        if session_id is None:
            self.set_status(403)
            self.show("Wrong name or password", name)
            return
        provider.sessions.pop(self.get_cookie(SESSION_COOKIE, ""), None)
        self.set_cookie(SESSION_COOKIE, session_id, httponly=True, samesite="Lax")
        self.answer(code=provider.code_for(provider.sessions[session_id], self.asked))

    def show(self, error="", name=""):
        """Show the login page."""
        self.set_header("Cache-Control", "no-store")
        self.finish(LOGIN_PAGE.format(error=error, name=html.escape(name, quote=True)))

    def answer(self, **found):
        """Send the browser back with a code or an error."""
        if "state" in self.asked:
            found["state"] = self.asked["state"]
        self.redirect(url_concat(self.asked["redirect_uri"], found))


class Token(Handler):
    """Exchanges codes and refresh tokens."""

    @property
    def endpoint(self):
        """By what it is asked, as providers break by halves."""
        return "refresh" if self.grant_type == "refresh_token" else "token"

    @property
    def grant_type(self):
        return self.get_body_argument("grant_type", "")

    def authenticated(self):
        """Tell whether it is the client: by header or in the form, not by both."""
        scheme, _, value = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            given = [
                self.get_body_argument(f"client_{n}", "") for n in ("id", "secret")
            ]
            return given == [CLIENT_ID, CLIENT_SECRET]
        if self.get_body_argument("client_secret", ""):
            return False
        given = base64.b64decode(value).decode()
        # RFC 6749, 2.3.1 wants the two form-encoded; most clients don't
        expected = f"{CLIENT_ID}:{CLIENT_SECRET}"
        return expected in (given, unquote(given))

    def post(self):
        if not self.authenticated():
            raise OAuthError("invalid_client", status=401)
        provider, argument, old = self.provider, self.get_body_argument, None
        if self.grant_type == "authorization_code":
            uri = argument("redirect_uri", "")
            grant = provider.exchange(
                argument("code", ""), uri, argument("code_verifier", "")
            )
        elif self.grant_type == "refresh_token":
            old = argument("refresh_token", "")
            grant = provider.refresh(old)
        else:
            raise OAuthError("unsupported_grant_type")
        self.set_header("Cache-Control", "no-store")
        self.finish(provider.tokens(grant, self.issuer, old))


class Userinfo(Handler):
    """Tells who somebody is."""

    endpoint = "userinfo"

    def get(self):
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        name = self.provider.whose(token) if scheme == "Bearer" else None
        if name is None:
            raise OAuthError("invalid_token", status=401)
        self.provider.counters["userinfos"] += 1
        self.finish(self.provider.claims(name))


class EndSession(Handler):
    """Signs the browser out of the provider."""

    def get(self):
        session_id = self.get_cookie(SESSION_COOKIE, "")
        if self.provider.sessions.pop(session_id, None):
            self.provider.counters["signed_out"] += 1
        self.clear_cookie(SESSION_COOKIE)
        target = self.get_argument("post_logout_redirect_uri", "")
        if target and ours(target):
            state = {
                n: self.get_argument(n) for n in ("state",) if self.get_argument(n, "")
            }
            self.redirect(url_concat(target, state))
        else:
            self.finish("<!DOCTYPE html><title>Provider</title><h1>Signed out</h1>")


class Discovery(Handler):
    """OpenID Connect Discovery 1.0."""

    def get(self):
        paths = {name: f"{self.issuer}/{name}" for name in ENDPOINTS}
        self.finish(
            {
                "issuer": self.issuer,
                "authorization_endpoint": paths["authorize"],
                "token_endpoint": paths["token"],
                "userinfo_endpoint": paths["userinfo"],
                "end_session_endpoint": f"{self.issuer}/end_session",
                "jwks_uri": f"{self.issuer}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "scopes_supported": ["openid", "profile", "email"],
                "prompt_values_supported": ["none", "login", "select_account"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
            }
        )


class Keys(Handler):
    """The public key of its signatures."""

    def get(self):
        key = jwt.algorithms.RSAAlgorithm.to_jwk(
            self.provider.key.public_key(), as_dict=True
        )
        self.finish({"keys": [{**key, "kid": KEY_ID, "alg": "RS256", "use": "sig"}]})


class Control(Handler):
    """Not of OpenID Connect: tells what happened, and changes what will."""

    def get(self):
        self.finish(self.provider.report())

    def post(self):
        values = json.loads(self.request.body)
        kinds = values.pop("revoke", [])
        try:
            self.provider.behaviour.change(**values)
            self.provider.revoke(kinds)
        except ValueError as error:
            raise HTTPError(400, reason=str(error)) from error
        self.finish(self.provider.report())

    def delete(self):
        self.provider.reset()
        self.finish(self.provider.report())


ROUTES = {
    "/.well-known/openid-configuration": Discovery,
    "/jwks": Keys,
    "/authorize": Authorize,
    "/token": Token,
    "/userinfo": Userinfo,
    "/end_session": EndSession,
    "/control": Control,
}


async def main(port):
    """Serve until killed."""
    provider = {"provider": Provider()}
    routes = [(path, handler, provider) for path, handler in ROUTES.items()]
    Application(routes).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

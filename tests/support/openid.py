"""The OpenID Connect provider of the tests, as tests and their browsers use it."""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import httpx
import jwt

from support.client import BY_HUMAN, TRUST
from support.openid_state import CLIENT_ID, CLIENT_SECRET
from support.ports import free_port

START_TIMEOUT = 30
CRYPT_KEY = b"k" * 32
PROVIDER_COOKIE = "provider-session"


PATIENT = {"request_timeout": 20, "connect_timeout": 20}
"""Seconds for a provider that answers, if slowly: the machine may be busy."""

IMPATIENT = {"request_timeout": 1.0, "connect_timeout": 20}
"""The same for one that is known to hang."""


class OpenIDProvider:
    """A provider in a process of its own.

    Args:
        host: by which browsers and hubs know it; ``localhost`` is another site than
            a hub on ``127.0.0.1``, with cookies of its own in a real browser.
    """

    client_id = CLIENT_ID
    client_secret = CLIENT_SECRET

    def __init__(self, host="127.0.0.1"):
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        self.process = None
        self.http = None

    async def start(self):
        """Start it and wait until it serves."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "support.openid_provider", str(self.port)),
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )
        self.http = httpx.AsyncClient(base_url=self.url, timeout=30, verify=TRUST)
        give_up = time.monotonic() + START_TIMEOUT
        while time.monotonic() < give_up:
            with contextlib.suppress(httpx.TransportError):
                await self.seen()
                return self
            assert self.process.returncode is None, "the provider doesn't start"
            await asyncio.sleep(0.05)
        raise TimeoutError("the provider doesn't start")

    async def stop(self):
        """Stop it: from now on connections are refused."""
        if self.http is not None:
            await self.http.aclose()
            self.http = None
        if self.process is not None:
            if self.process.returncode is None:
                self.process.terminate()
            await self.process.wait()
            self.process = None

    async def control(self, **values):
        """Change how it behaves (``openid_state.Behaviour``), or ``revoke`` kinds.

        Returns:
            What it has seen so far.
        """
        return self._report(await self.http.post("/control", json=values))

    async def seen(self):
        """Return its counters and the parameters of authorize requests."""
        return self._report(await self.http.get("/control"))

    async def reset(self):
        """Let it forget sessions, tokens, counters and faults."""
        return self._report(await self.http.delete("/control"))

    @staticmethod
    def _report(answer):
        assert 200 == answer.status_code, answer.text
        return answer.json()

    async def claims(self, id_token):
        """Return the claims of an ID token, its signature checked by the JWKS."""
        keys = jwt.PyJWKSet.from_dict((await self.http.get("/jwks")).json())
        key = keys[jwt.get_unverified_header(id_token)["kid"]].key
        return jwt.decode(
            id_token,
            key,
            algorithms=["RS256"],
            audience=self.client_id,
            issuer=self.url,
            # its clock may have been moved
            options={"verify_exp": False, "verify_iat": False},
        )

    def sections(self, hub_url=None, **settings):
        """Return the sections of a hub's configuration that let people sign in here.

        Args:
            hub_url: the hub's public address; one is chosen otherwise.
            **settings: more settings of ``c.GenericOAuthenticator``.
        """
        sections = {
            "TTLAuthenticator": {"authenticator_class": "generic-oauth"},
            "CryptKeeper": {"keys": [CRYPT_KEY]},
        }
        if hub_url is None:
            hub_url = f"http://127.0.0.1:{free_port()}"
            sections["JupyterHub"] = {"bind_url": hub_url}
        # named, as to guess it oauthenticator reads a deprecated attribute of the hub
        settings.setdefault("oauth_callback_url", f"{hub_url}/hub/oauth_callback")
        sections["GenericOAuthenticator"] = self.settings(**settings)
        return sections

    def lines(self, hub_url, **settings):
        """Return the same as lines of a configuration file."""
        sections = self.sections(hub_url, **settings).items()
        return "\n".join(
            f"c.{section}.{name} = {value!r}"
            for section, values in sections
            for name, value in values.items()
        )

    def settings(self, **settings):
        """Return the settings of ``GenericOAuthenticator`` alone."""
        return {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "authorize_url": f"{self.url}/authorize",
            "token_url": f"{self.url}/token",
            "userdata_url": f"{self.url}/userinfo",
            "username_claim": "preferred_username",
            "scope": ["openid", "profile"],
            "enable_auth_state": True,
            "allow_all": True,
            "login_service": "the provider",
            "http_request_kwargs": PATIENT,
            **settings,
        }


async def knock(client, path="/hub/oauth_login"):
    """Go to the hub's login; return what the provider answers to the browser.

    That is its login page (200), or the way back (302) when it asks nothing.
    """
    answer = await client.go(path, by_human=True)
    assert 302 == answer.status_code, (answer.status_code, answer.text[-2000:])
    return await client.go(answer.headers["location"])


async def fill_in(client, page, name="alice", password=None):
    """Fill in the provider's login page; return what it answers."""
    form = {"username": name, "password": name[::-1] if password is None else password}
    return await client.http.post(page.url, data=form, headers=BY_HUMAN)


async def come_back(client, answer):
    """Follow the provider's redirect to the hub; return the hub's answer."""
    assert 302 == answer.status_code, (answer.status_code, answer.text[-2000:])
    return await client.go(answer.headers["location"])


async def sign_in(client, name="alice", path="/hub/oauth_login"):
    """Sign in at the hub through the provider, which may not ask at all.

    Returns:
        The hub's answer to the callback.
    """
    answer = await knock(client, path)
    if answer.status_code == 200:
        answer = await fill_in(client, answer, name)
    back = await come_back(client, answer)
    assert 302 == back.status_code, (back.status_code, back.text[-2000:])
    # the page that follows a login gives the XSRF cookie of the new session
    await client.go("/hub/home")
    return back


async def pass_time(hub, provider, seconds):
    """Let time pass for the hub and for the provider."""
    await hub.advance(seconds)
    await provider.control(offset=hub.clock.offset)


async def asked(provider):
    """Return the parameters of the last request to the provider."""
    return (await provider.seen())["authorize_requests"][-1]


async def silently(client, location):
    """Let the provider sign a browser in without asking, as if nobody had wished it.

    Who sits at a browser can take parameters out of an address.
    """
    answer = await client.go(location.replace("prompt=login", "prompt="))
    assert 302 == answer.status_code, answer.text
    return await come_back(client, answer)

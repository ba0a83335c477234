"""Authenticators as people set them up, with ways to sign in through them.

Each is a context that is given an empty folder; it yields the sections of the hub's
configuration and the ways, and ends what it started.
"""

import contextlib
import gc
from pathlib import Path
from unittest.mock import MagicMock

import nativeauthenticator.handlers
import pytest
from jupyterhub.handlers import BaseHandler

from support import openid
from support.ldap_server import TEMPLATE, LDAPServer
from support.lti_launches import LTI11Launches, LTI13Launches
from support.lti_platform import LTIPlatform
from support.openid import OpenIDProvider
from support.ports import free_port
from support.system_user import system_user
from support.ways import ADMIN_PASSWORD, PASSWORD, Way, form, form_way, send


@contextlib.asynccontextmanager
async def dummy(folder):
    """Any name and password will do, but the names that are blocked."""
    wrong = {("a blocked name", 403): form("mallory", PASSWORD)}
    sections = {"Authenticator": {"blocked_users": {"mallory"}}}
    yield sections, [Way(form("alice", PASSWORD), wrong=wrong)]


@contextlib.asynccontextmanager
async def shared_password(folder):
    """One password for people, one for admins."""
    sections = {
        "SharedPasswordAuthenticator": {
            "user_password": PASSWORD,
            "admin_password": ADMIN_PASSWORD,
        }
    }
    admin = form_way("root", ADMIN_PASSWORD)
    admin.wrong["the other people's password", 403] = form("root", PASSWORD)
    yield sections, [form_way(), admin]


@contextlib.asynccontextmanager
async def pam(folder):
    """A user of this machine, by the machine's own rules for ``login``."""
    with system_user(PASSWORD) as name:
        # PAM answers a wrong password after seconds: one is enough
        wrong = {("a wrong password", 403): form(name, f"{PASSWORD}!")}
        yield {}, [Way(form(name, PASSWORD), name, wrong)]


@contextlib.asynccontextmanager
async def native(folder):
    """People sign up themselves; until then their password is a wrong one."""
    way = form_way()
    login = way.sign_in
    # a refusal is its login page again
    way.wrong = {(what, 200): attempt for (what, _), attempt in way.wrong.items()}

    async def sign_up_and_in(client):
        page = await client.go("/hub/signup")
        fields = {
            "username": "alice",
            "signup_password": PASSWORD,
            "signup_password_confirmation": PASSWORD,
        }
        answer = await send(client, page, **fields)
        assert "The signup was successful" in answer.text, answer.text[-2000:]
        way.sign_in = login
        del way.wrong[without_account]
        return await login(client)

    without_account = ("a name that has not signed up", 200)
    way.sign_in = sign_up_and_in
    way.wrong[without_account] = login
    templates = Path(nativeauthenticator.__file__).parent / "templates"
    sections = {
        "NativeAuthenticator": {"open_signup": True},
        "JupyterHub": {"template_paths": [str(templates)]},
    }
    with pytest.MonkeyPatch.context() as patch:
        if not hasattr(BaseHandler, "statsd"):
            # nativeauthenticator 1.3.0 asks for what JupyterHub 6 dropped:
            # https://github.com/jupyterhub/jupyterhub/pull/5407
            handler = nativeauthenticator.handlers.LoginHandler
            patch.setattr(handler, "statsd", MagicMock(), raising=False)
        yield sections, [way]


@contextlib.asynccontextmanager
async def firstuse(folder):
    """The first password that is long enough is the right one from then on."""
    way = form_way()
    choose = form("alice", PASSWORD)
    later = dict(way.wrong)
    way.wrong = {("too short a password", 403): form("alice", "short")}

    async def sign_in(client):
        answer = await choose(client)
        way.wrong = later
        return answer

    way.sign_in = sign_in
    yield {"FirstUseAuthenticator": {"dbm_path": f"{folder}/passwords.dbm"}}, [way]


@contextlib.asynccontextmanager
async def ldap(folder):
    """A person of a directory, and one whose password is somebody else's."""
    way = form_way()
    way.wrong["the password of another", 403] = form("bob", PASSWORD)
    way.wrong["nobody's name", 403] = form("mallory", PASSWORD)
    people = {"alice": PASSWORD, "bob": "the password of bob"}
    async with LDAPServer(folder, people) as server:
        settings = {
            "server_address": "127.0.0.1",
            "server_port": server.port,
            "tls_strategy": "insecure",
            "bind_dn_template": [TEMPLATE],
        }
        yield {"LDAPAuthenticator": settings}, [way]
    # ldapauthenticator leaves its connections to the garbage collection
    gc.collect()


def _hub_url():
    url = f"http://127.0.0.1:{free_port()}"
    return url, {"JupyterHub": {"bind_url": url}}


@contextlib.asynccontextmanager
async def lti13(folder):
    """A launch from a learning platform, by LTI 1.3."""
    hub_url, sections = _hub_url()
    with LTIPlatform(hub_url) as platform:
        sections["LTI13Authenticator"] = platform.lti13_settings()
        yield sections, [LTI13Launches(platform).way()]


@contextlib.asynccontextmanager
async def lti11(folder):
    """A launch from a learning platform, by LTI 1.1."""
    hub_url, sections = _hub_url()
    with LTIPlatform(hub_url) as platform:
        sections["LTI11Authenticator"] = platform.lti11_settings()
        yield sections, [LTI11Launches(platform).way()]


@contextlib.asynccontextmanager
async def multi(folder):
    """Two providers; the same name at both is two people."""
    hub_url, sections = _hub_url()
    provider = OpenIDProvider()
    settings = provider.settings(
        oauth_callback_url=f"{hub_url}/hub/openid/oauth_callback",
        login_service="openid",
        enable_auth_state=False,
    )
    sections["MultiAuthenticator"] = {
        "authenticators": [
            {
                "authenticator_class": "generic-oauth",
                "url_prefix": "/openid",
                "config": settings,
            },
            {
                "authenticator_class": "shared-password",
                "url_prefix": "/house",
                "config": {
                    "service_name": "house",
                    "user_password": PASSWORD,
                    "allow_all": True,
                },
            },
        ]
    }
    try:
        await provider.start()
        way = form_way(path="/hub/house/login")
        way.user = "house:alice"
        yield sections, [_provider_way(provider), way]
    finally:
        await provider.stop()


def _provider_way(provider):
    path = "/hub/openid/oauth_login"

    async def sign_in(client):
        answer = await openid.knock(client, path)
        if answer.status_code == 200:
            answer = await openid.fill_in(client, answer)
        return await openid.come_back(client, answer)

    async def wrong_password(client):
        page = await openid.knock(client, path)
        return await openid.fill_in(client, page, password="wrong")

    async def made_up(client):
        return await client.go("/hub/openid/oauth_callback?code=code&state=state")

    wrong = {
        ("a wrong password at the provider", 403): wrong_password,
        ("a made-up answer of the provider", 400): made_up,
    }
    return Way(sign_in, "openid:alice", wrong, "/hub/openid/logout", provider)


CONFIG_FILE = '''
from jupyterhub.auth import Authenticator
from traitlets import Unicode


class BadgeAuthenticator(Authenticator):
    """People sign in with the number of the site's badge."""

    number = Unicode(config=True)

    async def authenticate(self, handler, data):
        if data["password"] == self.number:
            return data["username"]


c.BadgeAuthenticator.number = "{number}"
c.TTLAuthenticator.authenticator_class = BadgeAuthenticator
'''


@contextlib.asynccontextmanager
async def in_config_file(folder):
    """A class that only the administrator's own ``jupyterhub_config.py`` has."""
    file = folder / "jupyterhub_config.py"
    file.write_text(CONFIG_FILE.format(number=PASSWORD))
    yield {}, [form_way()]


AUTHENTICATORS = {
    "dummy": ("dummy", dummy),
    "shared-password": ("shared-password", shared_password),
    "pam": ("pam", pam),
    "native": ("native", native),
    "firstuse": ("firstuse", firstuse),
    "LTI 1.3": ("ltiauthenticator.lti13.auth.LTI13Authenticator", lti13),
    "LTI 1.1": ("ltiauthenticator.lti11.auth.LTI11Authenticator", lti11),
    "LDAP": ("ldap", ldap),
    "multi": ("multiauthenticator", multi),
    # the file has the last word: with null nobody could sign in
    "class in the config file": ("null", in_config_file),
}
"""``(name, context)`` by what they are called here."""

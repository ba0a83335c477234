"""Signing out: by a visit or with an XSRF token, and of this browser only."""

import pytest
from support.client import NAVIGATION, SESSION_ID_COOKIE


async def test_a_visit_of_the_logout_page_signs_out(hub):
    """The session ends, and this answer alone clears the cookies."""
    client = await hub.signed_in("leaver")
    session = hub.session_of(client)
    answer = await client.go("/hub/logout", by_human=True)
    assert (302, "/hub/login") == (answer.status_code, answer.headers["location"])
    assert "logout" == session.ended.reason
    assert client.hub_cookie is None
    assert client.session_id is None
    await hub.settle()
    assert session.finished


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {**NAVIGATION, "Sec-Fetch-Dest": "iframe"},
    ],
    ids=["image", "script", "frame"],
)
async def test_an_image_a_script_or_a_frame_signs_nobody_out(hub, headers):
    """What ``<img src="/hub/logout">`` asks for is no visit."""
    client = await hub.signed_in("embedded")
    answer = await client.http.get("/hub/logout", headers=headers)
    assert 403 == answer.status_code
    assert 200 == (await client.go("/hub/home")).status_code


async def test_a_client_without_fetch_metadata_can_sign_out(hub):
    """Old browsers, and plain http to another machine, don't send it."""
    client = await hub.signed_in("old")
    answer = await client.http.get("/hub/logout")
    assert 302 == answer.status_code
    assert client.hub_cookie is None


async def test_signing_out_by_post_takes_an_xsrf_token(hub):
    """With it a page's form signs out, without it nobody does."""
    client = await hub.signed_in("poster")
    refused = await client.http.post("/hub/logout", headers={"Origin": client.origin})
    assert 403 == refused.status_code
    assert 200 == (await client.go("/hub/home")).status_code
    answer = await client.fetch("/hub/logout", "POST")
    assert 302 == answer.status_code
    assert client.hub_cookie is None


@pytest.mark.parametrize("session_id", [None, "", "made-up", "the other browser's"])
async def test_signing_out_goes_by_the_cookie_not_by_the_session_id(hub, session_id):
    """It ends this session, and never the user's other one."""
    client, other = await hub.signed_in("careless"), await hub.signed_in("careless")
    await hub.authorize(other)
    client.drop_cookie(SESSION_ID_COOKIE)
    if session_id is not None:
        other_id = session_id == "the other browser's"
        value = other.session_id if other_id else session_id
        client.set_cookie(SESSION_ID_COOKIE, value)
    session, cookie = hub.session_of(client), client.hub_cookie
    assert 302 == (await client.go("/hub/logout")).status_code
    assert "logout" == session.ended.reason
    assert 401 == (await client.as_thief(cookie).session()).status_code
    assert 200 == (await other.session()).status_code
    assert 1 == len(hub.session_of(other).session_ids)


async def test_signing_out_when_nobody_is_signed_in_is_harmless(hub):
    """Also with the cookie of a session that has ended."""
    assert 302 == (await hub.client().go("/hub/logout")).status_code
    client = await hub.signed_in("gone")
    await hub.advance(61)
    assert 302 == (await client.go("/hub/logout")).status_code
    assert "idle" == hub.session_of(client).ended.reason


async def test_a_logout_handlers_own_protocol_is_left_alone(hubs):
    """A provider's notice comes by POST, without the XSRF token of a page."""
    from jupyterhub.auth import DummyAuthenticator
    from jupyterhub.handlers import LogoutHandler

    class NoticedLogout(LogoutHandler):
        def check_xsrf_cookie(self):
            pass

        async def post(self):
            self.clear_login_cookie()
            self.finish("noticed")

    class Noticed(DummyAuthenticator):
        def get_handlers(self, app):
            return [*super().get_handlers(app), (r"/logout", NoticedLogout)]

    hub = await hubs(TTLAuthenticator={"authenticator_class": Noticed})
    client = await hub.signed_in("alice")
    session = hub.session_of(client)
    assert "noticed" == (await client.http.post("/hub/logout")).text
    assert "logout" == session.ended.reason


async def test_a_wrapped_logout_handler_still_finds_auth_state(hubs):
    """It may have to revoke something at its provider."""
    from jupyterhub.auth import DummyAuthenticator
    from jupyterhub.handlers import LogoutHandler

    found = []

    class RevokingLogout(LogoutHandler):
        async def handle_logout(self):
            found.append(await self.current_user.get_auth_state())

    class Revoking(DummyAuthenticator):
        def get_handlers(self, app):
            return [*super().get_handlers(app), (r"/logout", RevokingLogout)]

    hub = await hubs(
        TTLAuthenticator={"authenticator_class": Revoking},
        CryptKeeper={"keys": [b"k" * 32]},
        Authenticator={"enable_auth_state": True, "allow_all": True},
    )
    client = await hub.signed_in("alice")
    user = hub.user("alice")
    await user.save_auth_state({"refresh_token": "r"})
    await client.go("/hub/logout")
    await hub.settle()
    assert [{"refresh_token": "r"}] == found
    assert await user.get_auth_state() is None
    assert [] == hub.log.tracebacks

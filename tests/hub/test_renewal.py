"""``/hub/ttl/renew`` with authenticators that have a login of their own kind."""

from jupyterhub.auth import Authenticator, DummyAuthenticator
from jupyterhub.handlers import BaseHandler


class Provider(BaseHandler):
    """What an OAuth callback does: somebody was authenticated elsewhere."""

    async def get(self):
        user = await self.login_user({"username": "external", "password": ""})
        self.redirect(self.get_next_url(user))


class External(DummyAuthenticator):
    """Signs in at an address of its own, as all of oauthenticator does."""

    def login_url(self, base_url):
        return f"{base_url}external_login"

    def get_handlers(self, app):
        return [*super().get_handlers(app), (r"/external_login", Provider)]


class ByHeader(Authenticator):
    """Believes a header of the request, as behind an authenticating proxy."""

    auto_login = True

    async def authenticate(self, handler, data):
        return handler.request.headers.get("X-Remote-User")


async def test_an_external_login_is_gone_through_once_more(hubs):
    """It leads to the provider, whose callback makes the new session."""
    hub = await hubs(TTLAuthenticator={"authenticator_class": External})
    client = hub.client()
    await client.follow("/hub/external_login")
    old = hub.session_of(client)
    answer = await client.go("/hub/ttl/renew?next=/hub/token")
    assert (302, "/hub/external_login?next=%2Fhub%2Ftoken") == (
        answer.status_code,
        answer.headers["location"],
    )
    await client.go(answer.headers["location"])
    new = hub.session_of(client)
    assert "replaced" == old.ended.reason
    assert new.issued_at > old.issued_at
    assert 200 == (await client.go("/hub/home")).status_code
    assert [] == hub.log.tracebacks


async def test_a_login_by_header_is_renewed_by_the_request_itself(hubs):
    """There is no form to fill in; without the header nothing is renewed."""
    hub = await hubs(TTLAuthenticator={"authenticator_class": ByHeader})
    client = hub.client()
    header = {"X-Remote-User": "headed"}
    await client.go("/hub/login", headers=header)
    old = hub.session_of(client)
    assert 302 == (await client.go("/hub/login", headers=header)).status_code
    assert old is hub.session_of(client), "a visit of the login page renews nothing"
    assert 403 == (await client.go("/hub/ttl/renew")).status_code
    image = {**header, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert 403 == (await client.go("/hub/ttl/renew", headers=image)).status_code
    assert old.ended is None
    answer = await client.go("/hub/ttl/renew?next=/hub/token", headers=header)
    assert (302, "/hub/token") == (answer.status_code, answer.headers["location"])
    assert "replaced" == old.ended.reason
    assert 200 == (await client.go("/hub/home")).status_code
    assert [] == hub.log.tracebacks


async def test_the_signed_out_page_of_an_automatic_login_waits_for_a_click(hubs):
    """It doesn't lead to a login that would sign the person in again."""
    hub = await hubs(TTLAuthenticator={"authenticator_class": ByHeader})
    client = hub.client()
    await client.go("/hub/login", headers={"X-Remote-User": "headed"})
    await hub.advance(61)
    page = await client.go("/hub/ttl/signed-out?reason=idle&next=/hub/token")
    assert 200 == page.status_code
    assert "/hub/ttl/renew?next=%2Fhub%2Ftoken" in page.text
    assert "refresh" not in page.headers

"""Launches of a hub from a learning platform, right and wrong, in a browser."""

from bs4 import BeautifulSoup

from support.client import Client
from support.ways import Way, send


class LTI13Launches:
    """Launches by LTI 1.3: OpenID Connect, begun by the platform.

    Args:
        platform: a running platform.
    """

    def __init__(self, platform):
        self.platform = platform

    def way(self):
        """Return the way to sign in, with all that must fail."""
        wrong = {
            ("a token signed with another key", 400): self.forged,
            ("a state that this browser never had", 400): self.of_another_browser,
            ("a state that nobody had", 400): self.made_up_state,
            ("a token with the nonce of another browser", 400): self.stolen,
            ("a token that has expired", 400): self.altered(exp=1),
            ("a token for another tool", 401): self.altered(aud="another tool"),
            ("another issuer's token", 400): self.altered(iss="https://other.test"),
        }
        return Way(self.sign_in, wrong=wrong)

    async def brought(self, client):
        """Follow the link in the course up to the page that brings the token."""
        link = await client.go(f"{self.platform.url}/lti13")
        knock = await send(client, link)
        assert 302 == knock.status_code, knock.text[-2000:]
        return await client.go(knock.headers["location"])

    async def sign_in(self, client):
        """Follow the link; the same token a second time is refused."""
        token = await self.brought(client)
        answer = await send(client, token)
        again = await send(client, token)
        assert 400 == again.status_code, "a launch works once"
        return answer

    def altered(self, **claims):
        """Return a launch with other claims, rightly signed."""

        async def launch(client):
            self.platform.claims = claims
            try:
                return await send(client, await self.brought(client))
            finally:
                self.platform.behave()

        return launch

    async def forged(self, client):
        """Send a token that is right but for its signature."""
        self.platform.forge()
        return await self.altered()(client)

    async def of_another_browser(self, client):
        """Send what the platform gave to somebody else."""
        return await send(client, await self._brought_to_another())

    async def stolen(self, client):
        """Send somebody else's token in a launch of one's own."""
        page = BeautifulSoup((await self._brought_to_another()).text, "html.parser")
        id_token = page.find(attrs={"name": "id_token"})["value"]
        return await send(client, await self.brought(client), id_token=id_token)

    async def made_up_state(self, client):
        """Send the right token with a state of one's own."""
        return await send(client, await self.brought(client), state="made-up")

    async def _brought_to_another(self):
        other = Client(self.platform.hub_url)
        try:
            return await self.brought(other)
        finally:
            await other.close()


class LTI11Launches:
    """Launches by LTI 1.1: signed with a shared secret.

    Args:
        platform: a running platform.
    """

    def __init__(self, platform):
        self.platform = platform

    def way(self):
        """Return the way to sign in, with all that must fail."""
        key, secret = self.platform.consumer
        wrong = {
            ("another secret", 401): self.signed_by(key, "another"),
            ("an unknown platform", 401): self.signed_by("unknown", secret),
            ("another person than was signed", 401): self.altered,
        }
        return Way(self.sign_in, wrong=wrong)

    async def link(self, client):
        """Return the page with the link in the course."""
        return await client.go(f"{self.platform.url}/lti11")

    async def sign_in(self, client):
        """Follow the link; the same launch a second time is refused."""
        launch = await self.link(client)
        answer = await send(client, launch)
        again = await send(client, launch)
        assert 401 == again.status_code, "a launch works once"
        return answer

    def signed_by(self, key, secret):
        """Return a launch that another platform has signed."""

        async def launch(client):
            self.platform.consumer = (key, secret)
            try:
                return await send(client, await self.link(client))
            finally:
                self.platform.behave()

        return launch

    async def altered(self, client):
        """Send a launch whose person was changed after it was signed."""
        return await send(client, await self.link(client), user_id="root")

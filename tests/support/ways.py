"""Ways to sign in, as one person's browser goes them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bs4 import BeautifulSoup
from httpx import Response

from support.client import BY_HUMAN, Client
from support.openid import OpenIDProvider

PASSWORD = "correct horse battery staple"
ADMIN_PASSWORD = f"{PASSWORD}, for admins"


@dataclass
class Way:
    """A way to sign in."""

    sign_in: Callable[[Client], Awaitable[Response]]
    user: str = "alice"
    wrong: dict[tuple[str, int], Callable[[Client], Awaitable[Response]]] = field(
        default_factory=dict
    )
    """What must fail, and with which status."""
    sign_out: str = "/hub/logout"
    provider: OpenIDProvider | None = None
    """Whose clock goes with the hub's."""


async def send(client, page, **fields):
    """Send a page's form with its hidden fields, some of them changed or added."""
    form = BeautifulSoup(page.text, "html.parser").form
    assert form is not None, (page.status_code, page.text[-2000:])
    hidden = {i["name"]: i.get("value", "") for i in form("input", type="hidden")}
    url = page.url.join(form["action"])
    headers = {**BY_HUMAN, "Origin": str(page.url.copy_with(raw_path=b""))}
    if page.url.netloc != url.netloc:
        headers["Sec-Fetch-Site"] = "same-site"
    return await client.http.post(url, data=hidden | fields, headers=headers)


def form(name, password, path="/hub/login"):
    """Return the filling in of a login page."""

    async def sign_in(client):
        page = await client.go(path)
        return await send(client, page, username=name, password=password)

    return sign_in


def form_way(name="alice", password=PASSWORD, path="/hub/login"):
    """Return the way through a login page."""
    wrong = {
        ("a wrong password", 403): form(name, f"{password}!", path),
        ("no password", 403): form(name, "", path),
    }
    return Way(form(name, password, path), name, wrong)

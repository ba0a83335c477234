"""When the plugin is removed: why the cookie secret has to be rotated."""

from pathlib import Path

STOCK = {"JupyterHub": {"authenticator_class": "dummy"}}


async def test_a_stock_hub_accepts_cookies_that_had_ended(hubs, tmp_path):
    """Until the secret is another: then nobody's cookie counts any more."""
    hub = await hubs(tmp_path)
    client = await hub.signed_in("alice")
    assert 200 == (await client.go("/hub/home")).status_code
    await hub.advance(61)
    assert 302 == (await client.go("/hub/home")).status_code
    cookie = client.hub_cookie
    await hub.stop()
    hub.app = None

    async def status():
        stock = await hubs(tmp_path, **STOCK)
        thief = stock.client().as_thief(cookie)
        answer = await thief.go("/hub/home")
        secret = Path(stock.app.cookie_secret_file)
        await stock.stop()
        stock.app = None
        return answer.status_code, secret

    accepted, secret = await status()
    assert 200 == accepted
    secret.unlink()
    refused, _ = await status()
    assert 302 == refused

"""A learning platform that launches a hub, by LTI 1.3 and by LTI 1.1.

It serves real pages with real signatures from a thread: the hub asks for its keys in
the middle of a request, and blocks meanwhile.
"""

import html
import http.server
import json
import threading
import time
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import oauthlib.oauth1
from cryptography.hazmat.primitives.asymmetric import rsa

from support.ports import free_port

CLIENT_ID = "client-of-the-platform"
CONSUMER_KEY, CONSUMER_SECRET = "consumer", "secret-of-the-consumer"
KEY_ID = "key-1"
CLAIM = "https://purl.imsglobal.org/spec/lti/claim"

FORM = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Course</title></head><body>
<form method="post" action="{action}">{inputs}<button>Open the exercise</button></form>
</body></html>"""


def _new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class LTIPlatform:
    """A platform in which one person is signed in.

    Args:
        hub_url: the address of the hub that it launches.
        user: who is signed in.
    """

    def __init__(self, hub_url, user="alice"):
        self.hub_url, self.user = hub_url, user
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._published_key = self.key = _new_key()
        self.claims = {}
        """Claims that differ from the right ones."""
        self.consumer = (CONSUMER_KEY, CONSUMER_SECRET)

    def __enter__(self):
        """Serve until the end."""
        handler = type("Handler", (_Handler,), {"platform": self})
        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", self.port), handler
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def lti13_settings(self):
        """Return the settings of ``LTI13Authenticator``."""
        return {
            "issuer": self.url,
            "authorize_url": f"{self.url}/authorize",
            "jwks_endpoint": f"{self.url}/jwks",
            "client_id": {CLIENT_ID},
            "username_key": "given_name",
        }

    def lti11_settings(self):
        """Return the settings of ``LTI11Authenticator``."""
        return {
            "consumers": {CONSUMER_KEY: CONSUMER_SECRET},
            "username_key": "user_id",
        }

    def forge(self):
        """Sign with a key that only claims to be the published one."""
        self.key = _new_key()

    def behave(self):
        """Do everything right again."""
        self.key, self.claims = self._published_key, {}
        self.consumer = (CONSUMER_KEY, CONSUMER_SECRET)

    # -- pages ------------------------------------------------------------------

    def lti13(self, _):
        """Show the link in a course: third-party initiated login."""
        return _form(
            f"{self.hub_url}/hub/lti13/oauth_login",
            {
                "iss": self.url,
                "login_hint": "person-1",
                "lti_message_hint": "exercise-1",
                "target_link_uri": f"{self.hub_url}/hub/home",
                "client_id": CLIENT_ID,
            },
        )

    def authorize(self, asked):
        """Answer an authentication request: a form that brings the token."""
        callback = f"{self.hub_url}/hub/lti13/oauth_callback"
        expected = {
            "response_type": "id_token",
            "response_mode": "form_post",
            "scope": "openid",
            "client_id": CLIENT_ID,
            "redirect_uri": callback,
            "login_hint": "person-1",
            "lti_message_hint": "exercise-1",
        }
        assert expected.items() <= asked.items(), asked
        token = jwt.encode(
            self._claims(asked["nonce"]) | self.claims,
            self.key,
            algorithm="RS256",
            headers={"kid": KEY_ID},
        )
        return _form(callback, {"id_token": token, "state": asked["state"]})

    def _claims(self, nonce):
        now = int(time.time())
        return {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": "person-1",
            "given_name": self.user,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            f"{CLAIM}/version": "1.3.0",
            f"{CLAIM}/message_type": "LtiResourceLinkRequest",
            f"{CLAIM}/deployment_id": "deployment-1",
            f"{CLAIM}/target_link_uri": f"{self.hub_url}/hub/home",
            f"{CLAIM}/resource_link": {"id": "exercise-1"},
            f"{CLAIM}/roles": [],
        }

    def jwks(self, _):
        """Publish the key."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(
            self._published_key.public_key(), as_dict=True
        )
        keys = [{**public, "kid": KEY_ID, "alg": "RS256", "use": "sig"}]
        return json.dumps({"keys": keys})

    def lti11(self, _):
        """Show the link in a course: a launch signed with a shared secret."""
        key, secret = self.consumer
        signer = oauthlib.oauth1.Client(
            key, secret, signature_type=oauthlib.oauth1.SIGNATURE_TYPE_BODY
        )
        action = f"{self.hub_url}/hub/lti/launch"
        fields = {
            "lti_message_type": "basic-lti-launch-request",
            "lti_version": "LTI-1p0",
            "resource_link_id": "exercise-1",
            "user_id": self.user,
        }
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        _, _, body = signer.sign(action, "POST", fields, form)
        return _form(action, dict(parse_qsl(body)))


class _Handler(http.server.BaseHTTPRequestHandler):
    platform = None
    pages = ("lti13", "authorize", "jwks", "lti11")

    def do_GET(self):
        url = urlsplit(self.path)
        name = url.path.strip("/")
        if name not in self.pages:
            self.send_error(404)
            return
        asked = {k: v[0] for k, v in parse_qs(url.query).items()}
        body = getattr(self.platform, name)(asked).encode()
        kind = "application/json" if name == "jwks" else "text/html; charset=utf-8"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


def _form(action, fields):
    inputs = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    return FORM.format(action=html.escape(action), inputs=inputs)

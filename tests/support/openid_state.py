"""What the OpenID Connect provider of the tests knows: people, sessions, tokens.

Runs in the provider's process; ``support.openid_provider`` speaks HTTP for it.
"""

import base64
import hashlib
import itertools
import secrets
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID = "jupyterhub"
CLIENT_SECRET = "secret-of-the-hub/with:signs"
KEY_ID = "key-1"

ENDPOINTS = ("authorize", "token", "refresh", "userinfo")
"""Where faults can be; ``token`` exchanges codes, ``refresh`` refresh tokens."""

FAULTS = (
    *("400", "401", "403", "429", "500", "502", "503", "invalid_grant"),
    *("reset", "lost", "hang", "garbage", "empty"),
)
"""A status, an OAuth error, or what networks do.

``lost`` does its work, then resets the connection.
"""

REVOCABLE = ("access", "refresh", "sessions")

COUNTED = (
    *("logins_shown", "logins", "silent_logins", "codes_exchanged"),
    *("refreshes", "reused_refresh_tokens", "userinfos", "signed_out"),
)


class OAuthError(Exception):
    """What is answered with an OAuth error code."""

    def __init__(self, error, description="", status=400):
        super().__init__(error)
        self.error, self.status = error, status
        self.description = description or error.replace("_", " ")


class Behaviour:
    """What ``POST /control`` changes; each name is one of its keys."""

    def __init__(self):
        self.faults = {}
        """``{endpoint: fault}``."""
        self.disabled = []
        """Names whose accounts are closed: no login, no token works."""
        self.offset = 0
        """Seconds by which its clock is ahead."""
        self.access_token_seconds = 300
        self.id_tokens = True
        """Off: plain OAuth 2.0."""
        self.auth_time = True
        """Off: ID tokens don't tell when somebody signed in."""
        self.heeds_prompt = True
        """Off: ``prompt`` and ``max_age`` are ignored, as some providers do."""
        self.knows_prompt = True
        """Off: ``prompt=login`` is an error, as some know ``select_account`` only."""
        self.refresh_tokens = True
        self.rotate = True
        """Off: a refresh token is good for ever."""

    def change(self, **values):
        """Change some; complain of what isn't there."""
        faults = values.get("faults", {})
        wrong = set(values) - set(vars(self))
        wrong |= set(faults) - set(ENDPOINTS) | set(faults.values()) - set(FAULTS)
        if wrong:
            msg = f"unknown: {sorted(wrong)}"
            raise ValueError(msg)
        vars(self).update(values)


class Provider:
    """All that it knows; the handlers below only speak HTTP."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.reset()

    def reset(self):
        """Forget everything but the key."""
        self.behaviour = Behaviour()
        self.sessions, self.codes = {}, {}
        self.access_tokens, self.refresh_tokens = {}, {}
        self.families = itertools.count(1)
        self.authorize_requests, self.faulted = [], []
        self.counters = dict.fromkeys(COUNTED, 0)

    def now(self):
        return time.time() + self.behaviour.offset

    def report(self):
        """Return what ``GET /control`` tells."""
        return {
            **self.counters,
            "authorize_requests": self.authorize_requests,
            "faulted": self.faulted,
            "sessions": len(self.sessions),
        }

    # -- people -----------------------------------------------------------------

    def sign_in(self, name, password):
        """Return the id of a new session, or ``None`` for a wrong password."""
        if not name or password != name[::-1] or name in self.behaviour.disabled:
            return None
        self.counters["logins"] += 1
        session_id = secrets.token_urlsafe(24)
        self.sessions[session_id] = {"name": name, "auth_time": int(self.now())}
        return session_id

    def must_ask(self, session, prompt, max_age):
        """Tell whether a browser's session isn't good enough for a request."""
        if session is None or session["name"] in self.behaviour.disabled:
            return True
        if not self.behaviour.heeds_prompt:
            return False
        too_old = max_age is not None and self.now() - session["auth_time"] > max_age
        return too_old or bool({"login", "select_account"} & set(prompt))

    # -- codes and tokens -------------------------------------------------------

    def code_for(self, session, asked):
        """Return a code for somebody who has signed in."""
        code = secrets.token_urlsafe(16)
        grant = {**session, "scope": asked.get("scope", ""), "asked": asked}
        self.codes[code] = {**grant, "family": next(self.families)}
        return code

    def exchange(self, code, redirect_uri, verifier):
        """Exchange a code, which works once."""
        grant = self.codes.pop(code, None)
        if grant is None:
            raise OAuthError("invalid_grant", "no such code")
        asked = grant["asked"]
        if redirect_uri != asked["redirect_uri"]:
            raise OAuthError("invalid_grant", "another redirect_uri")
        challenge = asked.get("code_challenge", "")
        if challenge and challenge != s256(verifier):
            raise OAuthError("invalid_grant", "wrong code_verifier")
        self.counters["codes_exchanged"] += 1
        return grant

    def refresh(self, token):
        """Use up a refresh token; one that is used again kills its whole family."""
        grant = self.refresh_tokens.get(token)
        if grant is None:
            raise OAuthError("invalid_grant", "no such refresh token")
        if grant.get("used"):
            self.counters["reused_refresh_tokens"] += 1
            self.revoke_family(grant["family"])
            raise OAuthError("invalid_grant", "this refresh token was used before")
        if grant["name"] in self.behaviour.disabled:
            raise OAuthError("invalid_grant", "this account is closed")
        self.counters["refreshes"] += 1
        if self.behaviour.rotate:
            # kept, to know it when it comes again
            self.refresh_tokens[token] = {**grant, "used": True}
        return grant

    def revoke_family(self, family):
        """Revoke all tokens that came from one login."""
        for tokens in (self.access_tokens, self.refresh_tokens):
            for token in [t for t, g in tokens.items() if g["family"] == family]:
                del tokens[token]

    def revoke(self, kinds):
        """Revoke all tokens, or sessions, of some kinds."""
        if set(kinds) - set(REVOCABLE):
            msg = f"only {REVOCABLE} can be revoked"
            raise ValueError(msg)
        stores = self.access_tokens, self.refresh_tokens, self.sessions
        for kind, store in zip(REVOCABLE, stores, strict=True):
            if kind in kinds:
                store.clear()

    def tokens(self, grant, issuer, old=None):
        """Return the answer of the token endpoint."""
        access = secrets.token_urlsafe(24)
        lasting = self.behaviour.access_token_seconds
        self.access_tokens[access] = {**grant, "until": self.now() + lasting}
        answer = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": lasting,
            "scope": grant["scope"],
        }
        if self.behaviour.refresh_tokens and (old is None or self.behaviour.rotate):
            answer["refresh_token"] = secrets.token_urlsafe(24)
            self.refresh_tokens[answer["refresh_token"]] = grant
        if self.behaviour.id_tokens and "openid" in grant["scope"].split():
            answer["id_token"] = self.id_token(grant, issuer)
        return answer

    def id_token(self, grant, issuer):
        """Return a signed ID token (OpenID Connect Core 1.0, 2 and 12.2)."""
        now = int(self.now())
        lasting = self.behaviour.access_token_seconds
        claims = {"iss": issuer, "aud": CLIENT_ID, "iat": now, "exp": now + lasting}
        claims |= self.claims(grant["name"])
        if self.behaviour.auth_time:
            # after a refresh still that of the login
            claims["auth_time"] = grant["auth_time"]
        if grant["asked"].get("nonce"):
            claims["nonce"] = grant["asked"]["nonce"]
        return jwt.encode(claims, self.key, "RS256", headers={"kid": KEY_ID})

    def claims(self, name):
        """Return what it tells about somebody."""
        subject = hashlib.sha256(name.encode()).hexdigest()[:16]
        email = f"{name}@example.org"
        return {"sub": subject, "preferred_username": name, "email": email}

    def whose(self, access_token):
        """Return the name behind an access token, if it works."""
        grant = self.access_tokens.get(access_token)
        if grant is None or grant["until"] <= self.now():
            return None
        return None if grant["name"] in self.behaviour.disabled else grant["name"]


def s256(verifier):
    """Return the challenge of a code verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")

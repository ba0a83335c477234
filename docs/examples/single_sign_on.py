"""Single sign-on with OpenID Connect: no login page, and signed out means signed out.

After an end the provider is asked for the password again, and has to say when it asked.
See ``docs/single-sign-on.md``. ``check`` finds nothing.
"""

import os

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"
c.JupyterHub.token_expires_in_max_seconds = 30 * 24 * 3600

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "generic-oauth"
c.TTLAuthenticator.idle_timeout = "15m"
c.TTLAuthenticator.max_lifetime = "10h"
# not much longer than a session
c.JupyterHub.cookie_max_age_days = 1

# who arrives is sent to the provider; after an end, not without a click
c.Authenticator.auto_login = True
c.Authenticator.auto_login_oauth2_authorize = True
# with max_age, providers have to say when they asked (OpenID Connect Core 1.0, 2)
c.TTLAuthenticator.reauthenticate_params = {"prompt": "login", "max_age": "0"}

# every five minutes the provider is asked again, and may be down for half an hour
c.Authenticator.auth_refresh_age = 300
c.TTLAuthenticator.upstream_grace = "30m"

provider = "https://sso.example.org/realms/lab/protocol/openid-connect"
c.GenericOAuthenticator.authorize_url = f"{provider}/auth"
c.GenericOAuthenticator.token_url = f"{provider}/token"
c.GenericOAuthenticator.userdata_url = f"{provider}/userinfo"
c.GenericOAuthenticator.oauth_callback_url = (
    "https://hub.example.org/hub/oauth_callback"
)
c.GenericOAuthenticator.client_id = os.environ.get("OAUTH_CLIENT_ID", "")
c.GenericOAuthenticator.client_secret = os.environ.get("OAUTH_CLIENT_SECRET", "")
# without openid there is no ID token; without offline_access some providers give no
# refresh token, and the end of the access token would be that of the session
c.GenericOAuthenticator.scope = ["openid", "profile", "offline_access"]
c.GenericOAuthenticator.username_claim = "preferred_username"
c.Authenticator.allow_all = True

# what a refresh needs is kept, encrypted by the key in JUPYTERHUB_CRYPT_KEY
c.Authenticator.enable_auth_state = True

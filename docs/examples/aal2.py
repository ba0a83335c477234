"""NIST SP 800-63B, revision 3, AAL2, with everything that ``check`` asks for.

The profile sets 30 minutes and 12 hours, and no setting can be laxer. ``check`` finds
nothing at all.
"""

import os

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"
# personal tokens belong to no session: they have this limit only
c.JupyterHub.token_expires_in_max_seconds = 7 * 24 * 3600
c.JupyterHub.cookie_max_age_days = 1
# without subdomains all servers are one origin to a browser
c.JupyterHub.subdomain_host = "https://hub.example.org"

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "generic-oauth"
c.TTLAuthenticator.profile = "nist-800-63b-aal2"
c.TTLAuthenticator.warning_period = "2m"
# a server that can't be watched doesn't outlive its session
c.TTLAuthenticator.unmonitored_servers = "stop"

c.GenericOAuthenticator.client_id = os.environ.get("OIDC_CLIENT_ID", "")
c.GenericOAuthenticator.client_secret = os.environ.get("OIDC_CLIENT_SECRET", "")
c.GenericOAuthenticator.authorize_url = "https://login.example.org/authorize"
c.GenericOAuthenticator.token_url = "https://login.example.org/token"  # noqa: S105
c.GenericOAuthenticator.userdata_url = "https://login.example.org/userinfo"
c.GenericOAuthenticator.oauth_callback_url = (
    "https://hub.example.org/hub/oauth_callback"
)
c.GenericOAuthenticator.username_claim = "preferred_username"
c.GenericOAuthenticator.scope = ["openid"]
# a new session begins with a new sign-in, not with a silent one
c.GenericOAuthenticator.extra_authorize_params = {"prompt": "login"}
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"ann"}

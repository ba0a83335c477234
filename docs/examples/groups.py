"""Limits by group, user and role; where several groups concern somebody, the strictest.

Groups can only make it shorter than ``idle_timeout`` and ``max_lifetime``. So these are
what most people get, and who needs longer has an entry in ``user_limits``.
``check`` finds nothing.
"""

import os

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"
c.JupyterHub.token_expires_in_max_seconds = 30 * 24 * 3600

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "azuread"
c.AzureAdOAuthenticator.tenant_id = os.environ.get("AAD_TENANT_ID", "")
c.AzureAdOAuthenticator.client_id = os.environ.get("AAD_CLIENT_ID", "")
c.AzureAdOAuthenticator.client_secret = os.environ.get("AAD_CLIENT_SECRET", "")
c.AzureAdOAuthenticator.oauth_callback_url = (
    "https://hub.example.org/hub/oauth_callback"
)
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"ann"}

c.JupyterHub.load_groups = {
    "finance": {"users": ["bob", "carla"]},
    "research": {"users": ["carla", "dora"]},
}

# everybody
c.TTLAuthenticator.idle_timeout = "30m"
c.TTLAuthenticator.max_lifetime = "12h"

c.TTLAuthenticator.group_rule = "strictest"  # the default
c.TTLAuthenticator.group_limits = {
    "finance": {"idle_timeout": "10m", "max_lifetime": "4h"},
    # the rest is inherited
    "research": {"idle_timeout": "20m", "warning_period": "5m"},
}
# admins, whatever groups they are in
c.TTLAuthenticator.admin_limits = {"idle_timeout": "10m", "max_lifetime": "8h"}
# wins over all others, in both directions
c.TTLAuthenticator.user_limits = {
    "dora": {"idle_timeout": "1h"},  # runs demonstrations
}

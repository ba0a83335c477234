"""The smallest change: what you had before, with limits around it.

``check`` warns twice. The hub listens on plain http: fine behind something that speaks
https, if you name that in ``public_url``. And personal API tokens never expire.
"""

import os

c = get_config()

c.JupyterHub.authenticator_class = "ttl"

c.TTLAuthenticator.authenticator_class = "github"  # what you had before
c.TTLAuthenticator.idle_timeout = "30m"
c.TTLAuthenticator.max_lifetime = "12h"
c.TTLAuthenticator.warning_period = "2m"

# the wrapped authenticator's own settings stay as they are
c.GitHubOAuthenticator.client_id = os.environ.get("GITHUB_CLIENT_ID", "")
c.GitHubOAuthenticator.client_secret = os.environ.get("GITHUB_CLIENT_SECRET", "")
c.GitHubOAuthenticator.oauth_callback_url = "https://hub.example.org/hub/oauth_callback"
c.GitHubOAuthenticator.allowed_organizations = {"example-lab"}
c.Authenticator.admin_users = {"ann"}

"""Short limits for everybody, longer ones for groups: the most lenient group counts.

With ``most-lenient`` a group's limit replaces ``idle_timeout`` and ``max_lifetime``,
whether it is longer or shorter. ``check`` finds nothing.
"""

c = get_config()

# a proxy in front speaks https
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.public_url = "https://hub.example.org/"
c.JupyterHub.token_expires_in_max_seconds = 30 * 24 * 3600
# open JupyterLab pages lose their server when the token expires: as long as the
# longest lifetime below
c.JupyterHub.cookie_max_age_days = 7
c.JupyterHub.oauth_token_expires_in = 7 * 24 * 3600

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "pam"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"ann"}

# groups follow the system's, so there is no load_groups
c.Authenticator.manage_groups = True

c.TTLAuthenticator.idle_timeout = "15m"
c.TTLAuthenticator.max_lifetime = "8h"
c.TTLAuthenticator.warning_period = "2m"

c.TTLAuthenticator.group_rule = "most-lenient"
c.TTLAuthenticator.group_limits = {
    "staff": {"idle_timeout": "1h", "max_lifetime": "24h"},
    # locked offices: no idle limit, one sign-in a week
    "operators": {"idle_timeout": None, "max_lifetime": "7d"},
}

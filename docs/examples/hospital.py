"""A hospital: HIPAA asks for automatic logoff and leaves the number to you.

Wards have shared workstations, so they have the shortest time. ``check`` finds nothing.
"""

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"
c.JupyterHub.token_expires_in_max_seconds = 24 * 3600
c.JupyterHub.cookie_max_age_days = 1

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "ldap"
c.TTLAuthenticator.profile = "hipaa"  # no setting can be without an idle timeout
c.TTLAuthenticator.idle_timeout = "15m"
c.TTLAuthenticator.max_lifetime = "10h"  # a shift
c.TTLAuthenticator.warning_period = "1m"

c.LDAPAuthenticator.server_address = "ldap.hospital.example"
c.LDAPAuthenticator.bind_dn_template = ["uid={username},ou=people,dc=hospital"]
c.LDAPAuthenticator.allowed_groups = ["cn=jupyter,ou=groups,dc=hospital"]
c.Authenticator.admin_users = {"ann"}

c.JupyterHub.load_groups = {
    "wards": {"users": ["kim", "lee"]},
    "imaging": {"users": ["lee", "max"]},
}
c.TTLAuthenticator.group_limits = {
    "wards": {"idle_timeout": "3m", "warning_period": "30s"},
    "imaging": {"idle_timeout": "10m"},
}
c.TTLAuthenticator.messages = {
    "idle": "You were signed out because nobody used this workstation.",
}

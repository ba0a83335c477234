"""A hub in German: copy this file and the folder ``templates`` beside it.

Start it with ``jupyterhub --config german.py``.
"""

from pathlib import Path

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"

# the login page and the signed-out page, in German
c.JupyterHub.template_paths = [str(Path(__file__).parent / "templates")]

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "pam"
c.Authenticator.allowed_groups = {"forschung"}
c.Authenticator.admin_users = {"anna"}

c.TTLAuthenticator.idle_timeout = "15m"
c.TTLAuthenticator.max_lifetime = "10h"
c.TTLAuthenticator.warning_period = "2m"

# not much longer than a session
c.JupyterHub.cookie_max_age_days = 1
# personal tokens have no session, but an end
c.JupyterHub.token_expires_in_max_seconds = 30 * 86400

c.TTLAuthenticator.messages = {
    "language": "de",
    # why the session ended
    "idle": "Sie waren längere Zeit nicht aktiv und wurden deshalb abgemeldet.",
    "lifetime": "Ihre Sitzung hat ihre Höchstdauer erreicht und wurde beendet.",
    "logout": "Sie haben sich abgemeldet.",
    "revoked": "Ihre Sitzung wurde beendet. Bitte melden Sie sich erneut an.",
    "replaced": "Sie wurden abgemeldet, weil es eine neuere Anmeldung gibt.",
    "upstream": "Sie wurden abgemeldet, weil Ihr Identitätsanbieter Ihr Konto nicht "
    "mehr bestätigt.",
    # the warning
    "warning_title_idle": "Sind Sie noch da?",
    "warning_idle": "Sie waren eine Weile nicht aktiv und werden bald abgemeldet. "
    "Ihre Server laufen weiter.",
    "warning_title_lifetime": "Ihre Sitzung endet bald",
    "warning_lifetime": "Ihre Sitzung erreicht ihre Höchstdauer und kann nicht "
    "verlängert werden. Melden Sie sich in einem neuen Tab erneut an, um hier "
    "weiterzuarbeiten. Ihre Server laufen weiter.",
    "countdown": "Verbleibende Zeit: {countdown}",
    "announce": "Noch {countdown}",
    "stay": "Angemeldet bleiben",
    "sign_out": "Abmelden",
    "renew": "Erneut anmelden",
    "close": "Schließen",
    "unreachable": "Der Server antwortet nicht. Bitte versuchen Sie es noch einmal.",
    # the cover over a page whose session has ended, and the signed-out page
    "ended": "Sie wurden abgemeldet.",
    "reauthenticate_title": "Bitte melden Sie sich noch einmal an",
    "reauthenticate": "Ihr Identitätsanbieter hat nicht erneut nach Ihrem Passwort "
    "gefragt, deshalb gilt diese Anmeldung nicht. Melden Sie sich dort ab oder "
    "schließen Sie den Browser, und melden Sie sich dann wieder an.",
    "unavailable": "Ihr Identitätsanbieter antwortet nicht, wie er soll. Bitte "
    "versuchen Sie es in einigen Minuten noch einmal.",
    "signed_out_title": "Abgemeldet",
    "sign_in": "Erneut anmelden",
}

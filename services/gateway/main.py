"""The declaration of the gateway: settings, keys, application."""

from services.gateway.app import Gateway
from services.gateway.keyring import open_keyring
from services.gateway.routes import route_of
from services.gateway.settings import GatewaySettings
from shared.serving.process import serve


def main() -> None:
    """Run the gateway until it is told to stop; exits the process."""
    settings = GatewaySettings.load()
    keyring = open_keyring(settings.keys_file, host=settings.published or settings.host, public=settings.public)
    gateway = Gateway(settings, keyring)
    serve(settings, gateway, life=gateway, probes=gateway.probes, route_of=route_of)

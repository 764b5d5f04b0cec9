"""Who runs a command, as logs and manifests tell it."""

import getpass


def user() -> str:
    """The user's name; `operator` in a container whose user has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"

"""The health of a container: whether its management port says that a request sent now will be served.

Run without site-packages, since it runs every few seconds. The job listens nowhere, and is as well as it runs.
"""

import http.client
import os
import sys

PORTS = {"gateway": 9000, "detection": 9001, "clip": 9002, "owlvit": 9003, "llava": 9004}


def main() -> int:
    """0 for a process that is ready, 1 for any other."""
    service = os.environ["SERVICE"]
    if service not in PORTS:
        return 0
    own = os.environ.get(f"OCELLI_{service.upper()}__MANAGEMENT_PORT") or os.environ.get("OCELLI_MANAGEMENT_PORT")
    connection = http.client.HTTPConnection("127.0.0.1", int(own or PORTS[service]), timeout=2)
    try:
        connection.request("GET", "/readyz")
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())

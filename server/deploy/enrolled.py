"""Whether the headers of a call to the Fleet API are an enrolled node's, before its body is read.

Flower looks at them once it has the whole body, and binds the key to what is in there; nothing of that is left out.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
from flwr.server.superlink.linkstate import LinkStateFactory
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature

from sealscore.server.deploy.gate import Headers


def enrolled_in(states: LinkStateFactory) -> Callable[[Headers], bool]:
    """The question whether headers (names in lower case) have the time, signed by the key of an enrolled node."""

    def enrolled(headers: Headers) -> bool:
        given = {name.decode("latin-1"): value for name, value in headers}
        try:
            key = b64decode(given[FLEET_HTTP_PUBLIC_KEY_HEADER], validate=True)
            signature = b64decode(given[FLEET_HTTP_SIGNATURE_HEADER], validate=True)
            stamp = given[TIMESTAMP_HEADER]
            age = (now() - datetime.fromisoformat(stamp.decode("ascii"))).total_seconds()
            if not -SYSTEM_TIME_TOLERANCE < age < TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE:
                return False
            if not verify_signature(bytes_to_public_key(key), stamp, signature):
                return False
        except (KeyError, ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
            return False
        return states.state().get_node_id_by_public_key(key) is not None

    return enrolled

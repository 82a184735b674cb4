"""Ask a scorer for a score: a client of the standard library alone.

python score_client.py SOCKET TOKEN_FILE APPLICATION_FILE
"""

import http.client
import json
import socket
import sys
from pathlib import Path


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30.0)
        self.sock.connect(self.host)


def score(place: str, token: str, application: bytes) -> dict[str, object]:
    """The answer, or the problem document that says what is wrong and how to fix it."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = SocketConnection(place)
    connection.request("POST", "/v1/scores", application, headers)
    found: dict[str, object] = json.loads(connection.getresponse().read())
    return found


if __name__ == "__main__":
    place, token_file, application_file = sys.argv[1:]
    answer = score(place, Path(token_file).read_text().strip(), Path(application_file).read_bytes())
    # A 503 may be sent again as it is: the same body gets the same answer, and is never counted twice.
    print(json.dumps(answer, ensure_ascii=False, indent=1))
    sys.exit("score_id" not in answer)

"""Log lines as they may be shown outside the party: without paths, addresses, credentials and names of parties.

What names code that everybody can have stays: a file of an installed package, of Python or of Sealscore by its place
there, a call of Flower's API, a file of the node's folder that every node has. All else with a slash in it goes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from sealscore.clients.setup.config import ConfigError, NodeConfig
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.shared.identity.trust import TrustError
from sealscore.shared.plan.plan import SERVER
from sealscore.shared.processes import IMPORT_ROOT

PATH, ADDRESS, PARTY, HOME = "PATH", "ADDRESS", "PARTY", "HOME"

_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_URL = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
# A path between quotes may contain blanks; elsewhere it ends at one.
_SLASHED = re.compile(
    r"""(?P<quote>["'])(?P<quoted>(?:[/~.\\]|HOME|PATH|[A-Za-z]:)[^"']*[/\\][^"']*)(?P=quote)"""
    r"""|(?P<bare>[^\s"'<>()\[\]{},;=|]*[/\\][^\s"'<>()\[\]{},;=|]*)"""
)
_CODE = re.compile(r"(?:^|/)(?:site-packages|dist-packages|lib/python3\.\d+)/((?:\w+/)*\w+\.py)$")
_API = re.compile(r"/v1/(?:fleet|runtime|control)/[a-z-]+")
_OWN = re.compile(rf"{HOME}(?:/(?:keys|plans|sockets|supernode(?:/(?:flower|logs))?|node\.toml|ca\.pem|trust\.json))?")
_PUBLIC = ("HTTP/1.0", "HTTP/1.1", "HTTP/2")
_PORT = re.compile(r"(?<![\w.-])(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][\w.-]*):(\d{2,5})(?![\w:])")
_NUMERIC = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(?![\w])")
_HOST = re.compile(r"""(\bhost=["']?)[^\s"',)]+""")
_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class LogMasks:
    """What is masked wherever it occurs: known folders (the longest first), hosts, and names of parties."""

    folders: tuple[tuple[str, str], ...]
    hosts: tuple[str, ...]
    parties: tuple[str, ...]

    @classmethod
    def of(cls, node_dir: NodeDir) -> LogMasks:
        """What a node knows to be its own or its peers'; as much of it as its files still show."""
        config = None
        with suppress(ConfigError):
            config = node_dir.config()
        cards: set[str] = set()
        with suppress(TrustError, OSError):
            cards = set(node_dir.trust().cards) - {SERVER}
        if config is not None:
            cards.add(config.node.name)
        return cls(tuple(_folders(node_dir, config)), _longest(_hosts(config)), _longest(cards))

    def masked(self, line: str) -> str:
        """The line with everything masked."""
        line = _URL.sub(lambda found: f"{found[0].partition('://')[0]}://{ADDRESS}", line)
        for folder, word in self.folders:
            line = re.sub(rf"{re.escape(folder)}(?![\w.-])", word, line)
        line = _SLASHED.sub(_slashed, line)
        line = _HOST.sub(rf"\1{ADDRESS}", line)
        for host in self.hosts:
            line = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", ADDRESS, line, flags=re.IGNORECASE)
        line = _PORT.sub(_port, line)
        line = _NUMERIC.sub(_numeric, line)
        for party in self.parties:
            line = re.sub(rf"(?<![\w.-]){re.escape(party)}(?![\w-])", PARTY, line)
        return line


def _folders(node_dir: NodeDir, config: NodeConfig | None) -> Iterable[tuple[str, str]]:
    """Folders that may have blanks in their names, so that no pattern would find their ends."""
    found = {sys.prefix: PATH}
    with suppress(RuntimeError, OSError):  # a user without a home, a working directory that is gone
        found |= {str(Path.home()): PATH, str(Path.cwd()): PATH}
    if config is not None:
        files = [config.server.authority, config.data.file, config.data.split, config.data.password_file]
        found |= {str((node_dir.folder / file).parent): PATH for file in files if file is not None}
    found |= {str(IMPORT_ROOT): f"{PATH}/site-packages"}
    found |= {str(node_dir.folder): HOME, str(node_dir.folder.resolve()): HOME}
    return sorted(((f, w) for f, w in found.items() if len(f) > 1), key=lambda pair: -len(pair[0]))


def _hosts(config: NodeConfig | None) -> Iterable[str]:
    urls = [value for name, value in os.environ.items() if name in _PROXIES]
    if config is not None:
        yield config.server.address.rpartition(":")[0]
        urls.append(config.data.url or "")
        if config.data.consents is not None:
            urls.append(config.data.consents.url or "")
    for url in urls:
        with suppress(ValueError):
            yield urlsplit(url if "://" in url else f"//{url}").hostname or ""


def _longest(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        sorted({word for word in words if word and word not in _LOOPBACK}, key=lambda word: (-len(word), word))
    )


def _slashed(found: re.Match[str]) -> str:
    quote = found["quote"]
    return _path(found["bare"]) if quote is None else f"{quote}{_path(found['quoted'])}{quote}"


def _path(text: str) -> str:
    """A path, or a word with a slash in it, as far as it is nobody's own."""
    bare = text.rstrip(":.")
    after = text[len(bare) :]
    if bare in _PUBLIC or _API.fullmatch(bare) or _OWN.fullmatch(bare) or bare.endswith(f"://{ADDRESS}"):
        return text
    code = _CODE.search(bare)
    return (code[1] if code else PATH) + after


def _port(found: re.Match[str]) -> str:
    host = found[1]
    if host in _LOOPBACK or host.endswith(".py") or host.isdigit():  # a line of code, or a time of day
        return found[0]
    return f"{ADDRESS}:PORT"


def _numeric(found: re.Match[str]) -> str:
    try:
        return found[0] if ip_address(found[0].strip(".")).is_loopback else ADDRESS
    except ValueError:
        return found[0]

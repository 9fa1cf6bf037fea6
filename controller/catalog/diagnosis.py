"""What is wrong with a catalog's server, in one sentence that says what to do."""

from __future__ import annotations

import re

import redis

from scalesim.errors import CatalogUnavailableError

_SENTENCES = {
    "OOM": "is full (maxmemory): give it more memory, or name a server of its own",
    "READONLY": "is a read-only replica: name its primary in catalog.url",
    "NOPERM": "does not let this user do what the catalog does ({detail}): grant it the keys "
    "'~{{NAMESPACE}}:*' and the commands of docs/security.md",
    "NOAUTH": "asks for a password: set SCALESIM_CATALOG_PASSWORD, or one in catalog.url",
    "WRONGPASS": "refuses the user or password: correct catalog.url or SCALESIM_CATALOG_PASSWORD",
    "LOADING": "is still loading its data: it is tried again until it has",
    "CLUSTERDOWN": "is a cluster node that serves no slots: give the cluster all its slots, or "
    "name a server without cluster mode",
    "MOVED": "is a cluster node that keeps these keys on another one: name that one, or a server "
    "without cluster mode",
    "MISCONF": "cannot save to its disk and takes no writes: mend its disk",
    "NOREPLICAS": "has too few replicas to take writes: start them, or lower min-replicas-to-write",
    "MASTERDOWN": "is a replica that lost its primary: name the primary in catalog.url",
    "BUSY": "is held up by somebody's script: it is tried again until that ends",
    "UNKNOWN": "does not know a command that the catalog needs ({detail}): a Sentinel or an old "
    "server; name the primary itself, or an address that follows it, of Redis 6 or Valkey with "
    "scripting",
    "CERTIFICATE_VERIFY_FAILED": "shows a certificate that is not trusted ({detail}): name its "
    "authority, rediss://HOST:PORT/0?ssl_ca_certs=FILE, and the host as the certificate has it",
    "NO_CERTIFICATE_OR_CRL_FOUND": "cannot be trusted: the file of ssl_ca_certs in catalog.url "
    "holds no certificate",
    "Error 2": "cannot be asked over TLS: a file of catalog.url (ssl_ca_certs) is not there",
}
"""Error codes of Redis and of TLS, and what follows "the catalog's server ..."."""

_CLASSES = (
    (redis.exceptions.OutOfMemoryError, "OOM"),
    (redis.exceptions.ReadOnlyError, "READONLY"),
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.AuthenticationError, "WRONGPASS"),
    (redis.exceptions.AuthenticationWrongNumberOfArgsError, "WRONGPASS"),
    (redis.exceptions.BusyLoadingError, "LOADING"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),  # a subclass of the next
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),
    (redis.exceptions.MovedError, "MOVED"),
    (redis.exceptions.AskError, "MOVED"),
)
"""Classes of the client that cut the code out of their message."""

_CODE = re.compile(rf"(?<![A-Za-z])({'|'.join(_SENTENCES)}|WRONGTYPE|CROSSSLOT)(?![A-Za-z])")
_TLS = re.compile(
    r"(CERTIFICATE_VERIFY_FAILED|NO_CERTIFICATE_OR_CRL_FOUND|Error 2(?= connecting to [^/]*:\d))"
)
"""What the client's message holds where TLS is why there is no connection."""
_DETAIL = re.compile(
    r"'[A-Za-z|]+' command|'[^']{1,40}' key|unknown command \W?[A-Za-z]+\W?"
    r"|(?<=verify failed: )[^(]*[^(. ]"
)
_PASSWORDLESS = re.compile("authentication required|already authenticated", re.IGNORECASE)


def code_of(error: redis.RedisError) -> str:
    """Return the server's error code, "" where it gave none: it did not answer."""
    text = str(error)
    if isinstance(error, redis.exceptions.AuthenticationError) and _PASSWORDLESS.search(text):
        return "NOAUTH"
    for kind, code in _CLASSES:
        if isinstance(error, kind):
            return code
    if "unknown command" in text.lower():
        return "UNKNOWN"
    found = _CODE.search(text) if isinstance(error, redis.ResponseError) else _TLS.search(text)
    return found[1] if found else ""


def unavailable(error: redis.RedisError, namespace: str) -> CatalogUnavailableError:
    """Return our error for one of the client's; holds no value that was sent."""
    code = code_of(error)
    if code in _SENTENCES:
        found = _DETAIL.search(str(error))
        sentence = _SENTENCES[code].replace("{{NAMESPACE}}", f"{{{namespace}}}")
        what = sentence.replace("{detail}", found[0] if found else code)
        return CatalogUnavailableError(f"the catalog's server {what}")
    if isinstance(error, redis.ResponseError):
        said = str(error).rpartition("caused error: ")[2][:120]
        return CatalogUnavailableError(
            f"the catalog's server refused a command: {said}. See its log; the controller goes on "
            "without it"
        )
    said = str(error).rstrip(".") or type(error).__name__
    said = said.replace("closed by server", "closed by server (one for TLS? Then use rediss://)")
    return CatalogUnavailableError(
        f"the catalog did not answer: {said}. Check that the server of "
        "catalog.url runs; the controller goes on without it"
    )

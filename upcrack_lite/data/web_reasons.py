"""Why a web address did not give its file, in words for a person."""

from __future__ import annotations

import email.utils
import time
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

_BUSY = {408: "took too long", 425: "asks to come back later", 429: "had too many requests"}
_STATUS = {
    401: "asks for a login",
    403: "refuses access",
    404: "has no such file",
    410: "no longer has the file",
    451: "may not give the file out here",
}


class Failed(Exception):
    """An attempt that failed, and with `again` false the whole address.

    Attributes:
        reason: what happened, for a person.
        again: True if another attempt at the same address makes sense.
        after: seconds that the server asks to wait, or None.
    """

    def __init__(self, reason: str, again: bool = True, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.again, self.after = reason, again, after


def host_of(url: str) -> str:
    """Return the host of an address, with its port if it is a special one."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url


def of_status(response: requests.Response) -> Failed:
    """Translate an HTTP status that is no success."""
    status, host = response.status_code, host_of(response.url)
    if status in _BUSY or status >= 500:
        said = _BUSY.get(status, "does not work at the moment")
        return Failed(f"{host} {said} (status {status})", after=_retry_after(response))
    return Failed(f"{host} {_STATUS.get(status, 'does not give the file')} (status {status})", again=False)


def of_error(error: Exception, url: str, timeout: float, reached: bool) -> Failed:
    """Translate an exception of requests or urllib3.

    Args:
        error: what was raised.
        url: the address that was asked.
        timeout: seconds after which it was given up, for the message.
        reached: True if this address has answered before. A name that cannot be looked up is tried
            again only then: without any network, waiting would not help.
    """
    host = host_of(url)
    cause = getattr(error.args[0], "reason", error) if error.args else error
    cause = error if cause is None else cause
    if isinstance(error, requests.exceptions.SSLError):
        said = f"no secure connection to {host} ({_brief(cause)}); are date and time of this computer right?"
        return Failed(said, again=False)
    if isinstance(error, requests.exceptions.ProxyError):
        return Failed(f"the proxy did not let the connection to {host} through", again=reached)
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return Failed(f"{host} sent nothing for {timeout:g} s")
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return Failed(f"{host} is not known; is this computer connected to the network?", again=reached)
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return Failed(f"no connection to {host} ({_brief(cause)})", again=reached)
    if isinstance(error, requests.TooManyRedirects):
        return Failed(f"{host} sends from one address to the next without end", again=False)
    if isinstance(error, ValueError):  # requests' exceptions for an address that is none are ValueErrors
        return Failed(f"{url} is no web address that can be asked", again=False)
    return Failed(f"the connection to {host} broke")


def _brief(error: object) -> str:
    """Cut an exception's text down to what it says at its end: `object at 0x..: Failed: refused`."""
    return str(error).rpartition(": ")[2].strip("()'\" ")[:100]


def _retry_after(response: requests.Response) -> float | None:
    """Read the header Retry-After, which holds seconds or a date, as seconds."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError):
        return None
    return max(seconds, 0.0)

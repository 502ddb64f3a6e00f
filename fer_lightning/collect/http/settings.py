"""Settings of the HTTP client, for `client.ImageClient`."""

from dataclasses import dataclass

from fer_lightning.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class ClientSettings(Settings):
    """Limits of each request."""

    requests_per_second: float = setting(2, "maximum requests per second to one host", above=0)
    deadline: float = setting(
        20, "maximum seconds for one image, from DNS lookup to the last byte, with all redirects", above=0
    )
    max_bytes: int = setting(15_000_000, "maximum size of one image in bytes; 15000000: 15 MB", minimum=1)
    allow_loopback: bool = setting(
        False, "true: requests to a server on this machine, at any port, are allowed, for tests"
    )

"""The administrator's credentials: made anew at each start, and kept in a file that only its owner can read."""

import os
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path

_KEY_CHARACTERS = string.ascii_uppercase + "234567"
_PROFILE = "[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\nregion = {region}\n"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key and its secret."""

    access_key: str
    secret_key: str = field(repr=False)


def make() -> Credentials:
    """Fresh credentials in the shape of AWS's own: 20 characters, and a secret of 40."""
    key = "AKIA" + "".join(secrets.choice(_KEY_CHARACTERS) for _ in range(16))
    return Credentials(key, secrets.token_urlsafe(30))


def keep(credentials: Credentials, path: Path, region: str) -> None:
    """Write them as a shared credentials file of AWS, mode 0600; a file or a link that is there is replaced."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "w") as file:
        file.write(_PROFILE.format(key=credentials.access_key, secret=credentials.secret_key, region=region))
    temporary.replace(path)

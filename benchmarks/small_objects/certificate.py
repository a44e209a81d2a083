"""A certificate of the kind that S3 has, for a server on this machine."""

from __future__ import annotations

from pathlib import Path


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make one for `localhost`.

    Args:
        folder: Where its files go.

    Returns:
        The file of the authority to trust, and that of the server's certificate and key, both PEM.
    """
    import trustme  # noqa: PLC0415 - of benchmarks/requirements.txt: what measures without TLS does without it

    authority, certificate = folder / "authority.pem", folder / "server.pem"
    made = trustme.CA(key_type=trustme.KeyType.RSA)
    made.cert_pem.write_to_path(authority)
    issued = made.issue_cert("localhost", key_type=trustme.KeyType.RSA)
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    return authority, certificate

"""S3 keys: refuses keys that are too long, a limit that ministack does not have."""

from typing import Any

from local_aws.ministack.hooks import Ministack

MAX_KEY_BYTES = 1024  # S3 user guide, "Naming Amazon S3 objects": in UTF-8


def refuse_long_keys(ministack: Ministack) -> None:
    """Answer a request for an object whose key is too long as S3 does: 400 KeyTooLongError."""
    storage: Any = ministack.storage
    handle = storage.handle_request

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], *rest: Any, **named: Any
    ) -> Any:
        _bucket, key = storage._parse_bucket_key(path, headers)  # noqa: SLF001 - what hooks are for
        length = len(key.encode(errors="surrogateescape"))
        if length > MAX_KEY_BYTES:
            limits = {"Size": str(length), "MaxSizeAllowed": str(MAX_KEY_BYTES)}
            return storage._error("KeyTooLongError", "Your key is too long", 400, extra=limits)  # noqa: SLF001
        return await handle(method, path, headers, body, query, *rest, **named)

    storage.handle_request = handle_request

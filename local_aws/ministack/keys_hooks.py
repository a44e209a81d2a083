# ruff: noqa: SLF001 - to touch private names is what this file is for
"""KMS: the keys of buckets and topics, and who may use them.

By itself ministack's CloudFormation drops a bucket's and a topic's encryption, and its S3 and SNS ask nobody for a
right to the key. On AWS they use it with the caller's rights: S3 needs kms:GenerateDataKey to write and kms:Decrypt to
read and for the parts of an upload (S3 user guide, "SSE-KMS"), SNS both to publish (SNS developer guide, "Key
management"). Here the caller's own policies are asked, the key's policy is not, and an object counts as encrypted with
the key that its bucket has now.
"""

import re
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from local_aws.ministack.hooks import Ministack, Response

_KEY = re.compile(r"<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>([^<]+)</KMSMasterKeyID>")
_OK = 300
_SUBRESOURCES = {"acl", "tagging", "retention", "legal-hold", "attributes", "torrent"}


def keep_encryption(ministack: Ministack) -> None:
    """Let CloudFormation give buckets and topics the encryption that the template asks for."""
    provisioners, storage, topics = ministack.provisioners, ministack.storage, ministack.topics
    provisioners._S3_BUCKET_CONFIGURATIONS += (
        ("BucketEncryption", _as_xml, storage._put_bucket_encryption, storage._delete_bucket_encryption),
    )
    handlers: dict[str, Any] = provisioners._RESOURCE_HANDLERS["AWS::SNS::Topic"]
    create, update = handlers["create"], handlers["update"]

    def with_key(made: Any, properties: dict[str, Any]) -> Any:
        attributes = topics._topic_by_arn_any_scope(made[0])["attributes"]
        attributes.pop("KmsMasterKeyId", None)
        if properties.get("KmsMasterKeyId"):
            attributes["KmsMasterKeyId"] = properties["KmsMasterKeyId"]
        return made

    def create_topic(logical_id: str, properties: dict[str, Any], *rest: Any) -> Any:
        return with_key(create(logical_id, properties, *rest), properties)

    def update_topic(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        return with_key(update(physical_id, old, new, *rest), new)

    handlers |= {"create": create_topic, "update": update_topic}


def read_encryption_once(ministack: Ministack) -> None:
    """Read the XML of a bucket's encryption once, and not for each object that is written there."""
    storage: Any = ministack.storage
    read = storage._bucket_default_sse_headers
    known: dict[str | bytes, dict[str, str]] = {}

    def default_headers(bucket: str) -> dict[str, str]:
        encryption = storage._bucket_encryption.get(bucket)
        if not encryption:
            return {}
        if encryption not in known:
            known[encryption] = read(bucket)
        return dict(known[encryption])

    storage._bucket_default_sse_headers = default_headers


def tell_the_key(ministack: Ministack) -> None:
    """Let conditions of policies see the key that a write names, as they see the kind of its encryption."""
    name = "x-amz-server-side-encryption-aws-kms-key-id"
    context = ministack.actions.s3_service_context

    def with_key(action: str, query: Any, path: str = "", headers: dict[str, str] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = context(action, query, path, headers)
        key = (headers or {}).get(name)
        return {**found, f"s3:{name}": key} if key and action == "s3:PutObject" else found

    ministack.actions.s3_service_context = with_key


def _as_xml(encryption: dict[str, Any]) -> bytes:
    """The body of PutBucketEncryption that a template's BucketEncryption stands for."""
    rules = []
    for rule in encryption.get("ServerSideEncryptionConfiguration", []):
        default = rule.get("ServerSideEncryptionByDefault", {})
        key = escape(str(default.get("KMSMasterKeyID", "")))
        rules.append(
            f"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{default.get('SSEAlgorithm')}</SSEAlgorithm>"
            + (f"<KMSMasterKeyID>{key}</KMSMasterKeyID>" if key else "")
            + "</ApplyServerSideEncryptionByDefault>"
            f"<BucketKeyEnabled>{str(rule.get('BucketKeyEnabled', False)).lower()}</BucketKeyEnabled></Rule>"
        )
    return f"<ServerSideEncryptionConfiguration>{''.join(rules)}</ServerSideEncryptionConfiguration>".encode()


def ask_for_keys(ministack: Ministack) -> None:
    """With `--enforce-iam`: a reader, writer or publisher of what a key encrypts must be allowed to use the key."""
    if ministack.enforces_iam:
        _ask_of_storage(ministack)
        _ask_of_topics(ministack)


def _ask_of_storage(ministack: Ministack) -> None:
    storage: Any = ministack.storage
    handle = storage.handle_request

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], *rest: Any, **named: Any
    ) -> Any:
        bucket, _, key = path.lstrip("/").partition("/")
        if not key or _SUBRESOURCES & set(query):
            return await handle(method, path, headers, body, query, *rest, **named)
        source = unquote(headers.get("x-amz-copy-source", "").partition("?")[0]).lstrip("/").partition("/")[0]
        asked = [("kms:Decrypt", source)] if source else []
        if method in {"PUT", "POST"}:
            of_an_upload = "partNumber" in query or "uploadId" in query
            asked.append(("kms:Decrypt" if of_an_upload else "kms:GenerateDataKey", bucket))
        for action, place in asked:
            denied = _denied(ministack, "s3", action, headers, query, _key_of(storage, place))
            if denied:
                return denied
        answer = await handle(method, path, headers, body, query, *rest, **named)
        if method == "GET" and answer[0] < _OK:
            return _denied(ministack, "s3", "kms:Decrypt", headers, query, _key_of(storage, bucket)) or answer
        return answer

    storage.handle_request = handle_request


def _ask_of_topics(ministack: Ministack) -> None:
    topics: Any = ministack.topics
    handle = topics.handle_request

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Any:
        asked = parse_qs(body.decode("utf-8", errors="replace"))
        if asked.get("Action", [""])[0] in {"Publish", "PublishBatch"}:
            topic = topics._topic_by_arn_any_scope(asked.get("TopicArn", [""])[0]) or {"attributes": {}}
            key = topic["attributes"].get("KmsMasterKeyId", "")
            for action in ("kms:GenerateDataKey", "kms:Decrypt"):
                denied = _denied(ministack, "sns", action, headers, query, key)
                if denied:
                    return denied
        return await handle(method, path, headers, body, query)

    topics.handle_request = handle_request


def _key_of(storage: Any, bucket: str) -> str:
    """The ARN of the bucket's key; empty where it has none."""
    found = _KEY.search(storage._bucket_encryption.get(bucket) or "")
    return found[1] if found else ""


def _denied(  # noqa: PLR0917 - as the hooks have them
    ministack: Ministack, service: str, action: str, headers: dict[str, str], query: dict[str, Any], key_arn: str
) -> Response | None:
    """The answer to a caller who may not use the key through the service; None for one who may, or without a key."""
    if not key_arn:
        return None
    context = {"kms:ViaService": f"{service}.{ministack.scope().region}.amazonaws.com"}
    return ministack.denial(service, action, headers, query, key_arn, context)

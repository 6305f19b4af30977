"""Names the option that a refusal is about, and the permissions that it needs; pure."""

from __future__ import annotations

from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.errors import AccessDeniedError, StoreError
from aios3sync.store.protocol import PutOptions
from aios3sync.store.s3.errors import add_reason, subject

__all__ = ("name_option",)


class _Sent(NamedTuple):
    """A field of PutOptions, the option that sets it, and how a refusal names it.

    ``names`` are parts of header names as they occur in messages, ``codes`` are S3 error codes.
    """

    field: str
    option: str
    names: tuple[str, ...]
    codes: tuple[str, ...] = ()


_SENT: Final = (
    _Sent("tags", "--tag", ("x-amz-tagging",), ("InvalidTag", "BadRequest.Tagging")),
    _Sent("checksum", "--checksum", ("x-amz-checksum", "x-amz-sdk-checksum"), ("InvalidChecksum",)),
    _Sent(
        "acl",
        "--acl",
        ("x-amz-acl", "canned acl"),
        ("AccessControlListNotSupported", "InvalidBucketAclWithObjectOwnership"),
    ),
    _Sent("sse_customer_key", "--sse-c-key-file", ("x-amz-server-side-encryption-customer",)),
    _Sent("sse_kms_key_id", "--sse-kms-key-id", ("x-amz-server-side-encryption-aws-kms",), ("KMS.",)),
    _Sent(
        "sse",
        "--sse",
        ("x-amz-server-side-encryption",),
        ("InvalidEncryptionAlgorithmError", "ServerSideEncryptionConfigurationNotFoundError", "KMS."),
    ),
    _Sent("storage_class", "--storage-class", ("x-amz-storage-class",), ("InvalidStorageClass",)),
    _Sent("request_payer", "--request-payer", ("x-amz-request-payer",)),
    _Sent("metadata", "--metadata", ("x-amz-meta-",), ("MetadataTooLarge",)),
    _Sent("cache_control", "--cache-control", ("cache-control",)),
    _Sent("content_disposition", "--content-disposition", ("content-disposition",)),
    _Sent("content_language", "--content-language", ("content-language",)),
    _Sent("content_encoding", "--gzip", ("content-encoding",)),
    _Sent("content_type", "--content-type", ("content-type",)),
    _Sent("expires", "--expires", ("expires header", "'expires'")),
)
_OWN_RIGHTS: Final = (("acl", "s3:PutObjectAcl"), ("tags", "s3:PutObjectTagging"))


def name_option(error: StoreError, options: PutOptions) -> None:
    """Add to the message of ``error`` which option the endpoint refuses, if it says so.

    Only options that were sent are named: a policy that demands encryption names its header too.
    """
    prefix = f"{subject(error.operation, error.bucket, error.key)}: "
    if not error.message.startswith(prefix):
        return
    said = error.message.removeprefix(prefix)
    option = _refused(said.lower(), error.code, options)
    if isinstance(error, AccessDeniedError) and error.is_by_policy:
        wanted = [right for field, right in _OWN_RIGHTS if getattr(options, field) and right not in said]
        if wanted:
            add_reason(error, f", and for what is sent {' and '.join(wanted)}")
    elif option:
        error.message = f"{prefix}the endpoint refuses {option}: {said}"


def _refused(said: str, code: str, options: PutOptions) -> str:
    for sent in _SENT:
        if getattr(options, sent.field) and any(name in said for name in sent.names):
            return sent.option
    for sent in _SENT:
        if getattr(options, sent.field) and any(
            code.startswith(name) if name.endswith(".") else code == name for name in sent.codes
        ):
            return sent.option
    return ""

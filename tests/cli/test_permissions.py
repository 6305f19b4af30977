"""The rights on the page of permissions are those of the requests that the features send."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aios3sync.store.wrappers.retry_policy import REPEATS
from tests.cli.conftest import Bucket, CommandLine
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "permissions.md"

# The rights that a request needs: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
RIGHTS: Mapping[str, set[str]] = {
    "PutObject": {"s3:PutObject"},
    "UploadPart": {"s3:PutObject"},
    "CreateMultipartUpload": {"s3:PutObject"},
    "CompleteMultipartUpload": {"s3:PutObject"},
    "AbortMultipartUpload": {"s3:AbortMultipartUpload"},
    "ListParts": {"s3:ListMultipartUploadParts"},
    "CopyObject": {"s3:GetObject", "s3:GetObjectTagging", "s3:PutObject", "s3:PutObjectTagging"},
    "UploadPartCopy": {"s3:GetObject", "s3:PutObject"},
    "GetObject": {"s3:GetObject"},
    "HeadObject": {"s3:GetObject"},
    "GetObjectTagging": {"s3:GetObjectTagging"},
    "DeleteObject": {"s3:DeleteObject"},
    "DeleteObjects": {"s3:DeleteObject"},
    "ListObjectsV2": {"s3:ListBucket"},
    "ListMultipartUploads": {"s3:ListBucketMultipartUploads"},
    "ListObjectVersions": {"s3:ListBucketVersions"},
    "GetBucketVersioning": {"s3:GetBucketVersioning"},
}


def policies() -> dict[str, set[str]]:
    """The policies by their headings, each with its rights."""
    headings = re.findall(r"^## (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    found = {}
    for heading, text in zip(headings, blocks(PAGE, "json"), strict=True):
        rights: set[str] = set()
        for statement in json.loads(text)["Statement"]:
            actions = statement["Action"]
            rights |= {actions} if isinstance(actions, str) else {*actions}
            assert statement["Effect"] == "Allow"
        found[heading] = rights
    return found


def needed(requests: Mapping[str, int]) -> set[str]:
    """The rights for requests of a report."""
    return {right for name, count in requests.items() if count for right in RIGHTS[name]}


def test_policies_are_those_of_requests() -> None:
    """Each right belongs to a request that the program can send."""
    sent = {right for rights in RIGHTS.values() for right in rights}
    for heading, rights in policies().items():
        queue = {right for right in rights if right.startswith("sqs:")}
        assert rights - queue <= sent, heading
    assert RIGHTS.keys() <= REPEATS.keys()


@pytest.mark.parametrize(
    ("heading", "commands"),
    [
        ("An upload that deletes", [["sync", "{tree}", "{url}p", "--delete", "--part-size", "5M"]]),
        ("An upload that deletes", [["sync", "{tree}", "{url}p", "--metadata", "a=b", "--check", "list"]]),
        ("A backup that may only write", [["sync", "{tree}", "{url}q", "--no-list"]]),
        (
            "A download, `verify`, `ls`, `cat`",
            [["sync", "{url}p", "{tree}-copy"], ["verify", "{tree}", "{url}p"]],
        ),
        ("Statistics with their cache", [["stats", "{url}", "--detailed"]]),
        ("A copy between buckets", [["sync", "{url}p", "{url}copy"]]),
    ],
)
def test_a_feature_needs_no_more_than_its_policy(
    cli: CommandLine, bucket: Bucket, tree: Path, heading: str, commands: list[list[str]]
) -> None:
    bucket.put("p/gone", b"it goes")
    if heading != "An upload that deletes":
        assert cli("sync", tree, bucket.url("p"), "--no-manifest").code == 0
    else:
        (tree / "large").write_bytes(bytes(17 << 20))
    for words in commands:
        arguments = [word.format(tree=tree, url=bucket.url()) for word in words]
        document: dict[str, Any] = cli(*arguments, "--json").json()
        requests = document.get("requests") or document["report"]["requests"]
        assert needed(requests) <= policies()[heading], requests

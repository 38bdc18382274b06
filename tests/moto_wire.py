"""What a request to moto's server asks for, and how AWS would word an error in the same protocol."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

_SCOPE = re.compile(r"Credential=[^/]+/[0-9]{8}/[^/]+/([^/]+)/aws4_request")
_S3_QUERIES = {
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "location"): "GetBucketLocation",
    ("POST", "delete"): "DeleteObjects",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("PUT", "uploadId"): "UploadPart",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
_S3_KEYS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_S3_BUCKETS = {"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        service: Its signing name (`sagemaker`, `s3`, `sqs`, `events`, `sts`, `monitoring`), "" when unsigned.
        operation: AWS's name (`CreateEndpoint`).
        parameters: The request's members, as far as they are told in JSON, in a form or in an S3 path.
        status: What was answered; 0: the connection was dropped.
        fault: The kind of fault that was injected, or "".
    """

    service: str
    operation: str
    parameters: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def recognise(environ: dict[str, Any], body: bytes) -> Call:
    """What a request asks for."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = scope.group(1) if scope else ""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    path, query = environ.get("PATH_INFO", "/"), environ.get("QUERY_STRING", "")
    if target:
        return Call(service, target.rpartition(".")[2], _json(body))
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        return Call(service, form.pop("Action", ""), form)
    if path.endswith("/invocations"):
        told = {
            key.removeprefix("HTTP_X_AMZN_SAGEMAKER_").title().replace("_", ""): value
            for key, value in environ.items()
            if key.startswith("HTTP_X_AMZN_SAGEMAKER_")
        }
        return Call(service, "InvokeEndpoint", {"EndpointName": path.split("/")[2], **told})
    if service in {"s3", ""}:
        return _s3(environ["REQUEST_METHOD"], unquote(path), query, "HTTP_X_AMZ_COPY_SOURCE" in environ)
    return Call(service, f"{environ['REQUEST_METHOD']} {path}", _json(body))


def _s3(method: str, path: str, query: str, copies: bool) -> Call:
    bucket, _, key = path.lstrip("/").partition("/")
    told = {"Bucket": bucket, "Key": key, **{name: values[0] for name, values in parse_qs(query).items()}}
    asked = set(parse_qs(query, keep_blank_values=True))
    for (verb, name), operation in _S3_QUERIES.items():
        if verb == method and name in asked:
            return Call("s3", operation, told)
    if copies:
        return Call("s3", "CopyObject", told)
    if not bucket:
        return Call("s3", "ListBuckets", told)
    return Call("s3", (_S3_KEYS if key else _S3_BUCKETS).get(method, method), told)


def _json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def error_answer(call: Call, status: int, code: str, message: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """An error as the service of a call would word it: status, headers, body."""
    if call.service == "s3":
        body = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        return status, [("Content-Type", "application/xml")], body.encode()
    if call.service in {"sts", "iam", "cloudformation"}:
        side = "Sender" if status < 500 else "Receiver"
        told = f"<Type>{side}</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        body = f"<ErrorResponse><Error>{told}</Error><RequestId>injected</RequestId></ErrorResponse>"
        return status, [("Content-Type", "text/xml")], body.encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code)]
    return status, headers, json.dumps({"__type": code, "message": message}).encode()

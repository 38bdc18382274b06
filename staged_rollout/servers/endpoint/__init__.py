"""A stand-in for Amazon SageMaker on one machine: an unmodified boto3 client works against it.

It speaks two of SageMaker's interfaces on one port: the runtime (`InvokeEndpoint`) and, of the control plane, what
this project uses. Where AWS is not followed, it is stricter: a member of a request that would be ignored is refused.
Signatures are not checked, which is why it binds to the loopback address.
"""

from __future__ import annotations

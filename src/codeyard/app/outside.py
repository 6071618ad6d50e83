"""Services that are not here: CloudFormation, ECS, Lambda, Step Functions, SNS, asked at AWS or at another endpoint.

Nothing outside is asked unless the setting `outside` says where. The credentials are the server's own, by boto3's
usual chain or the profile that is set: a pipeline's role decides here what its actions may ask for, not there.
"""

from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from codeyard.config import Config
from codeyard.errors import Denied
from codeyard.ident import Owner

_CLIENT = ClientConfig(retries={"total_max_attempts": 4, "mode": "standard"}, connect_timeout=10, read_timeout=60)


class Outside:
    """Makes clients."""

    def __init__(self, config: Config) -> None:
        self._where, self._profile = config.outside, config.outside_profile or None

    def client(self, owner: Owner, service: str, region: str) -> Any:
        """One of boto3's. Denied: nothing outside may be asked."""
        if not self._where:
            raise Denied(
                f"asking {service}", "this server asks no services outside.",
                "Set `outside` to aws, or to the URL of an endpoint that answers for it.",
            )  # fmt: skip
        endpoint = None if self._where == "aws" else self._where
        session = boto3.Session(profile_name=self._profile)
        return session.client(service, region_name=region, endpoint_url=endpoint, config=_CLIENT)

"""The images that AWS keeps for CodeBuild, as ListCuratedEnvironmentImages names them.

Source: the user guide, "Docker images provided by CodeBuild". A server here runs the one of that name if its Docker
has it, and does not pull it: most are nobody else's to pull. Windows images are left out: nothing here could run them.
"""

from typing import Any

_AMAZON, _UBUNTU = "aws/codebuild/amazonlinux", "aws/codebuild/standard"
_IMAGES = (
    ("AMAZON_LINUX", f"{_AMAZON}-x86_64-standard:6.0", "AWS CodeBuild - Docker image for Amazon Linux 2023, x86_64"),
    ("AMAZON_LINUX", f"{_AMAZON}-x86_64-standard:5.0", "AWS CodeBuild - Docker image for Amazon Linux 2023, x86_64"),
    ("AMAZON_LINUX", f"{_AMAZON}2-x86_64-standard:5.0", "AWS CodeBuild - Docker image for Amazon Linux 2023, x86_64"),
    ("AMAZON_LINUX", f"{_AMAZON}2-x86_64-standard:4.0", "AWS CodeBuild - Docker image for Amazon Linux 2, x86_64"),
    ("AMAZON_LINUX", f"{_AMAZON}-aarch64-standard:3.0", "AWS CodeBuild - Docker image for Amazon Linux 2023, aarch64"),
    ("AMAZON_LINUX", f"{_AMAZON}2-aarch64-standard:3.0", "AWS CodeBuild - Docker image for Amazon Linux 2023, aarch64"),
    ("AMAZON_LINUX", f"{_AMAZON}2-aarch64-standard:2.0", "AWS CodeBuild - Docker image for Amazon Linux 2, aarch64"),
    ("UBUNTU", f"{_UBUNTU}:7.0", "AWS CodeBuild - Docker image for Ubuntu 22.04"),
    ("UBUNTU", f"{_UBUNTU}:6.0", "AWS CodeBuild - Docker image for Ubuntu 22.04"),
    ("UBUNTU", f"{_UBUNTU}:5.0", "AWS CodeBuild - Docker image for Ubuntu 20.04"),
)
NAMES = tuple(name for _, name, _ in _IMAGES)


def _of(platform: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "description": text, "versions": [name]} for where, name, text in _IMAGES if where == platform
    ]


# The shape's `platforms`. The standard images hold all runtimes, which AWS lists as the language BASE.
PLATFORMS: list[dict[str, Any]] = [
    {"platform": platform, "languages": [{"language": "BASE", "images": _of(platform)}]}
    for platform in ("AMAZON_LINUX", "UBUNTU")
]

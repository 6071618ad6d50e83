"""What a project may not be. (See `check_project`.)"""

from codeyard.builds.project import Project


def role_account(role: str) -> str:
    return role.split(":")[4] if role.count(":") >= 5 else ""


def check_role(role: str, account: str) -> None:
    """Refused"""


def check_project(project: Project) -> None:
    """Refused"""

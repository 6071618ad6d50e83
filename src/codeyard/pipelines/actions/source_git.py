"""The sources that are git repositories: CodeCommit, a connection's, and GitHub by its first version, on any server.

Nothing that is remembered of a repository is given to anybody whom its server would not let in now: whatever is asked,
the server is first asked for a list of refs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from codeyard.artifacts import Digest
from codeyard.durable import Answer
from codeyard.errors import NotFound
from codeyard.ident import Owner
from codeyard.pipelines.actions import ActionFailed, Artifact, CloneRef, ErrorCode, Outcome, Revision, Told, Work
from codeyard.pipelines.actions.git_credentials import CredentialFor
from codeyard.pipelines.actions.importing import import_directory, scratch
from codeyard.pipelines.actions.remembered import Remembered, facts_of, facts_shape
from codeyard.pipelines.actions.repositories import Reach, Repositories, Where
from codeyard.pipelines.model import Action as Declared
from codeyard.secrets import Secret
from codeyard.sources import Credential, SourceError
from codeyard.sources.copying import in_thread
from codeyard.sources.git_facts import CommitFacts, Histories
from codeyard.sources.git_names import is_ref

CODECOMMIT, CONNECTION, GITHUB = "CodeCommit", "CodeStarSourceConnection", "GitHub"
PROVIDERS = (CODECOMMIT, CONNECTION, GITHUB)
_SUMMARY_LIMIT = 2048  # characters: the model's RevisionSummary
_REFUSED = ("Authentication failed", "could not read Username", "could not read Password", "Permission denied")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a source action's configuration asks for."""

    provider: str
    name: str  # of the repository, as the configuration has it
    where: Where
    branch: str
    clone: bool = False  # CODEBUILD_CLONE_REF
    connection: str = ""
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """How repositories are reached: what polling has in common with the action itself."""

    histories: Histories
    repositories: Repositories
    reach: Reach
    credential: CredentialFor = field(repr=False)

    def asked(self, declared: Declared) -> Asked:
        """Invalid: the repository cannot be, or nobody knows where it is. Denied: it may not be reached."""
        given, provider = declared.configuration, declared.type.provider
        if provider == GITHUB:
            name = given["Repo"]
            where = self.repositories.github(given["Owner"], name)
        elif provider == CONNECTION:
            name = given["FullRepositoryId"]
            where = self.repositories.connection(given["ConnectionArn"], name)
        else:
            name = given["RepositoryName"]
            where = self.repositories.codecommit(name)
        self.reach.check(where)
        branch = given["Branch" if provider == GITHUB else "BranchName"]
        if not is_ref(f"refs/heads/{branch}"):
            raise ActionFailed(ErrorCode.CONFIGURATION, f"{branch[:100]} is not a name that a branch can have.")
        token = given.get("OAuthToken", "").strip("*")  # asterisks are what clients are shown for it
        return Asked(
            provider, name, where, branch,
            clone=given.get("OutputArtifactFormat") == "CODEBUILD_CLONE_REF",
            connection=given.get("ConnectionArn", ""),
            token=Secret(token) if token else None,
        )  # fmt: skip

    async def shown(self, owner: Owner, asked: Asked) -> Credential | None:
        """What the server is shown: the action's own token, else what the account imported."""
        if asked.token is not None and asked.where.known and asked.where.host is not None:
            return Credential(Secret("x-access-token"), asked.token)
        return await self.credential(owner, asked.where.url)

    async def refs(self, owner: Owner, asked: Asked, patterns: tuple[str, ...]) -> Mapping[str, str]:
        """The refs that match, each with its commit. ActionFailed."""
        try:
            credential = await self.shown(owner, asked)
            return await self.histories.refs(asked.where.url, credential, patterns)
        except SourceError as error:
            raise failed(asked, error) from None


class GitAction:
    """Each of PROVIDERS. Files are unpacked in `beside` on their way to the store, best on the same disk."""

    def __init__(self, access: Access, remembered: Remembered, beside: Path | None = None) -> None:
        self._access, self._remembered, self._beside = access, remembered, beside

    async def run(self, work: Work) -> Outcome:
        """See Action. ActionFailed, and what `Access.asked` raises."""
        asked = self._access.asked(work.declared)
        await _permit(work, asked)

        async def revision() -> Answer:
            return facts_shape(await self._revision(work, asked))

        facts = facts_of(await work.step("revision", revision))
        await work.tell(Told(external_id=facts.id, summary=_summary(facts)))
        if asked.clone:
            clone = CloneRef(asked.where.url, facts.id, asked.branch)
            return _outcome(asked, facts, replace(work.outputs[0], clone=clone, revision=facts.id))

        async def tree() -> Answer:
            return {"tree": str(await self._tree(work, asked, facts))}

        digest = Digest.parse((await work.step("tree", tree))["tree"])
        return _outcome(asked, facts, replace(work.outputs[0], tree=digest, revision=facts.id))

    async def _revision(self, work: Work, asked: Asked) -> CommitFacts:
        """The commit that the start of the execution pins, else the tip of the branch."""
        access, url = self._access, asked.where.url
        ref = f"refs/heads/{asked.branch}"
        refs = await access.refs(work.place.owner, asked, (ref,))
        pinned = work.pinned.commit if work.pinned is not None else None
        if pinned is None and ref not in refs:
            raise ActionFailed(ErrorCode.CONFIGURATION, _no_branch(asked))
        commit = (pinned or refs[ref]).lower()
        if pinned is None and (known := await asyncio.to_thread(self._remembered.facts, url, commit)) is not None:
            return known
        try:
            credential = await access.shown(work.place.owner, asked)
            return await access.histories.commit(url, credential, commit, None if pinned else ref)
        except NotFound:
            text = f"The commit {commit[:80]} was not found in the repository {asked.name}."
            raise ActionFailed(ErrorCode.UNAVAILABLE_REVISION, text) from None
        except SourceError as error:
            raise failed(asked, error) from None

    async def _tree(self, work: Work, asked: Asked, facts: CommitFacts) -> Digest:
        """The digest of the files of the commit, brought if they are not here."""
        url, blobs = asked.where.url, work.blobs
        known = await asyncio.to_thread(self._remembered.tree, url, facts.id, blobs)
        if known is not None:
            return known
        histories = self._access.histories
        with scratch(self._beside) as place:
            files = place / "files"
            files.mkdir()
            try:
                # What the step before brought may be gone, if another process made the mirror anew.
                credential = await self._access.shown(work.place.owner, asked)
                await histories.commit(url, credential, facts.id, None)
                await histories.check_out(url, facts.id, files)
            except SourceError as error:
                raise failed(asked, error) from None
            tree = await in_thread(lambda _stopped: import_directory(files, blobs))
        await asyncio.to_thread(self._remembered.keep, url, facts, tree.digest)
        return tree.digest


async def _permit(work: Work, asked: Asked) -> None:
    """What the role must be allowed, as AWS's documentation of each provider has it. ActionFailed."""
    owner = work.place.owner
    if asked.provider == CODECOMMIT:
        arn = f"arn:aws:codecommit:{owner.region}:{owner.account}:{asked.name}"
        for action in ("GetBranch", "GetCommit", "GetRepository" if asked.clone else "UploadArchive"):
            await work.permit(f"codecommit:{action}", arn)
    elif asked.provider == CONNECTION:
        service = "codeconnections" if ":codeconnections:" in asked.connection else "codestar-connections"
        await work.permit(f"{service}:UseConnection", asked.connection)


def failed(asked: Asked, error: SourceError) -> ActionFailed:
    """What to say where a repository cannot be read: AWS's words, then git's."""
    said = f"{error.what}. {error.why}"
    refused = any(sign in said for sign in _REFUSED)
    code = ErrorCode.PERMISSION if refused else ErrorCode.JOB_FAILED
    if asked.provider == CODECOMMIT:
        text = (
            f"Could not access the CodeCommit repository {asked.name}. Make sure that the pipeline IAM role has "
            "sufficient permissions to access the repository."
        )
    else:
        text = f"Could not access the repository {asked.name}."
    return ActionFailed(code, f"{text} {error.what}. {error.fix}")


def _no_branch(asked: Asked) -> str:
    if asked.provider == CODECOMMIT:
        return (
            f"The action failed because no branch named {asked.branch} was found in the selected AWS CodeCommit "
            f"repository {asked.name}. Make sure you are using the correct branch name, and then try again."
        )
    return f"No Branch [{asked.branch}] found for FullRepositoryName [{asked.name}]"


def _outcome(asked: Asked, facts: CommitFacts, output: Artifact) -> Outcome:
    summary = _summary(facts)
    url = _page(asked.where, facts.id)
    return Outcome(
        outputs=(output,),
        variables=_variables(asked, facts, url),
        revision=Revision(facts.id, summary, url=url, created=facts.committed),
        summary=summary,
        external_id=facts.id,
        external_url=url or None,
    )


def _variables(asked: Asked, facts: CommitFacts, url: str) -> dict[str, str]:
    """Those that the reference lists for each provider, and no others (4.1)."""
    found = {
        "AuthorDate": _time(facts.authored),
        "BranchName": asked.branch,
        "CommitId": facts.id,
        "CommitMessage": facts.message,
    }
    if asked.provider == CONNECTION:
        return {**found, "ConnectionArn": asked.connection, "FullRepositoryName": asked.name}
    found |= {"CommitterDate": _time(facts.committed), "RepositoryName": asked.name}
    return {**found, "CommitUrl": url} if asked.provider == GITHUB else found


def _summary(facts: CommitFacts) -> str:
    return facts.message[:_SUMMARY_LIMIT]


def _page(where: Where, commit: str) -> str:
    """Where the commit is shown, by the addresses that GitHub, GitLab and Gitea have, and Bitbucket's."""
    if where.host is None:
        return ""
    kind = "commits" if where.host == "bitbucket.org" else "commit"
    return f"{where.url.rstrip('/').removesuffix('.git')}/{kind}/{commit}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

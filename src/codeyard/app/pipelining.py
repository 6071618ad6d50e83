"""Pipelines of a server process: their control, their runner with all that acts, and their part of the API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from codeyard.access.model import Limits, RoleArn
from codeyard.app.allowing import on_threads, permission
from codeyard.app.deploying import Deploys
from codeyard.app.fetching import git_environment
from codeyard.app.first_start import server_id
from codeyard.app.notifying import Notifier
from codeyard.app.outside import Outside
from codeyard.app.parts import Parts, build_url, now, public_url
from codeyard.app.tagging import TypeTags, WebhookTags
from codeyard.app.telling import Telling
from codeyard.aws import Refused, Service
from codeyard.aws.policy import Asker
from codeyard.builds.control import BuildControl
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound
from codeyard.ident import Owner
from codeyard.objects.buckets import embedded
from codeyard.pipelines import (
    custom_types_table,
    executions_table,
    jobs_table,
    objects_table,
    outbox_table,
    pipelines_table,
    runs_table,
)
from codeyard.pipelines.actions import Action, ActionFailed, ErrorCode, Place, Work
from codeyard.pipelines.actions.approval import ApprovalAction
from codeyard.pipelines.actions.build import CodeBuildAction, CommandsAction
from codeyard.pipelines.actions.custom import CustomAction
from codeyard.pipelines.actions.deploy import CodeDeployAction, ReleaseAction, live_targets
from codeyard.pipelines.actions.git_credentials import imported_credentials, servers
from codeyard.pipelines.actions.invoke_lambda import InvokeLambda
from codeyard.pipelines.actions.invoke_pipeline import InvokePipeline
from codeyard.pipelines.actions.outside import registry
from codeyard.pipelines.actions.remembered import Remembered
from codeyard.pipelines.actions.repositories import Reach, Repositories
from codeyard.pipelines.actions.rules import DeploymentWindowRule, VariableCheckRule
from codeyard.pipelines.actions.source_git import PROVIDERS, Access, GitAction
from codeyard.pipelines.actions.source_image import ImageAction
from codeyard.pipelines.actions.source_s3 import S3Action
from codeyard.pipelines.api_action_types import ActionTypeOperations
from codeyard.pipelines.api_executions import ExecutionOperations
from codeyard.pipelines.api_jobs import DECLINED, JobOperations
from codeyard.pipelines.api_pipelines import PipelineOperations, Sealer, Tagged, pipeline_arn
from codeyard.pipelines.api_webhooks import WebhookOperations
from codeyard.pipelines.chains import check_chain
from codeyard.pipelines.changes import Begin, Watched
from codeyard.pipelines.control import PipelineControl
from codeyard.pipelines.job_data import Credentials, session_policy
from codeyard.pipelines.looking import Looking
from codeyard.pipelines.masking import secret_values
from codeyard.pipelines.model import Action as Declared
from codeyard.pipelines.model import ActionType, parse
from codeyard.pipelines.polling import Polling
from codeyard.pipelines.runner import Runner
from codeyard.pipelines.runners import Runners
from codeyard.pipelines.starting import Trigger
from codeyard.pipelines.stored import StoredRun, StoredVersion
from codeyard.pipelines.stored_webhooks import StoredWebhooks
from codeyard.pipelines.watching import Watching
from codeyard.pipelines.webhook_endpoint import WebhookEndpoint
from codeyard.pipelines.work import Means, Rights, publish
from codeyard.sources.git_history import GitHistories
from codeyard.store import Tx

_SERVICE = "codepipeline.amazonaws.com"
_JOBS_KEPT, _EVENTS_KEPT = timedelta(days=7), timedelta(days=14)
_JOB_SECONDS = 3600  # that the credentials of a job last
_log = logging.getLogger(__name__)
_ERRORS: dict[type[CodeyardError], str | tuple[str, int]] = {
    Invalid: "ValidationException",
    NotFound: "ResourceNotFoundException",
    Conflict: ("ConflictException", 409),
    Denied: ("AccessDeniedException", 403),
    Fault: ("ServiceUnavailableException", 503),
}


@dataclass(frozen=True, slots=True)
class Pipelines:
    """What a process has of pipelines."""

    control: PipelineControl
    service: Service
    webhooks: WebhookEndpoint
    runner: Runner
    polling: Polling | None
    telling: Telling
    absent: Callable[[str, str, str], Awaitable[bool]]  # make an artifact's object, where somebody wants one
    tidy: Callable[[], Awaitable[None]]  # forget what nobody asks for any more

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Actions are done, and sources looked at."""
        async with self.runner, self.telling.running():
            looking = asyncio.create_task(self.polling.run()) if self.polling is not None else None
            try:
                yield
            finally:
                if looking is not None:
                    looking.cancel()


class _Made:
    """The objects of one process, made once."""

    def __init__(self, parts: Parts, builds: BuildControl, deploys: Deploys) -> None:
        self._parts, self._builds, self._deploys = parts, builds, deploys
        self._config, self._db = parts.config, parts.database
        self._sealer, self._outside = Sealer(parts.key), Outside(parts.config)
        self._control = PipelineControl(self._db, now, Runners(server_id(parts.config.data)))
        self._stored_webhooks = StoredWebhooks(self._db, parts.key)
        self._repositories = Repositories.parse(self._config.repositories)
        self._making: dict[tuple[str, str, str], asyncio.Future[bool]] = {}

    def pipelines(self) -> Pipelines:
        means = Means(self._db, self._parts.blobs, self._rights, self._sealer.unsealed, now, self._may_assume)
        access = self._access()
        actions = self._actions(access)
        poll = self._config.poll_sources
        looking, watching = Looking(access, self._buckets_of), Watching(self._db, self._sealer.unsealed)
        who, dropped = server_id(self._config.data), self._parts.metrics.event_dropped
        telling = Telling(self._db, self._outside, self._config.events, who, now, dropped)
        polling = Polling(self._db, now, watching, looking.look, self._begin, poll) if poll else None
        return Pipelines(
            self._control,
            self._service(),
            WebhookEndpoint(self._stored_webhooks, self._start_by_webhook, self._config_of, now),
            Runner(self._control, means, actions, lease=self._config.lease),
            polling,
            telling,
            self._absent,
            self._tidy,
        )

    async def _absent(self, account: str, bucket: str, key: str) -> bool:
        """Who may read it asks for the object of an artifact that was handed on as a tree: now there is one."""
        place = account, bucket, key
        if place not in self._making:  # many may ask at once, and a large zip takes long
            self._making[place] = asyncio.ensure_future(self._make(*place))
            self._making[place].add_done_callback(lambda _: self._making.pop(place, None))
        return await asyncio.shield(self._making[place])

    async def _make(self, account: str, bucket: str, key: str) -> bool:
        objects = self._parts.objects
        found = await self._db.read(lambda tx: objects_table.find(tx, account, bucket, key))
        if found is None or objects is None:
            return False
        await asyncio.to_thread(publish, found, self._parts.blobs, embedded(objects, account), None)
        return True

    async def _tidy(self) -> None:
        at = now()

        while await self._db.write(lambda tx: jobs_table.forget(tx, at - _JOBS_KEPT)):
            pass
        await self._db.write(lambda tx: outbox_table.forget(tx, at - _EVENTS_KEPT))

    # ── what acts ──

    def _actions(self, access: Access) -> Callable[[ActionType], Action | None]:
        base, data = public_url(self._config), self._config.data
        url = lambda stored: build_url(base, stored)  # noqa: E731
        build = CodeBuildAction(self._builds, url, self._server_of)
        commands = CommandsAction(self._builds, url, now, self._server_of)
        function = InvokeLambda(self._db, now, self._encryption_key, self._outside.client, self._job_credentials)
        notifier = Notifier(self._outside, self._config.approvals)
        git = GitAction(access, Remembered(data / "commits"), data)
        custom = CustomAction(self._db, now, self._encryption_key)
        by_type: dict[tuple[str, str, str], Action] = {
            **registry(self._outside.client, now),
            ("Source", "AWS", "S3"): S3Action(data),
            ("Source", "AWS", "ECR"): ImageAction(self._repositories),
            **{("Source", "ThirdParty" if each == "GitHub" else "AWS", each): git for each in PROVIDERS},
            ("Build", "AWS", "CodeBuild"): build,
            ("Test", "AWS", "CodeBuild"): build,
            ("Compute", "AWS", "Commands"): commands,
            ("Approval", "AWS", "Manual"): ApprovalAction(notifier.tell, self._page),
            ("Deploy", "AWS", "CodeDeploy"): CodeDeployAction(self._deploys.control, self._deploys.request),
            ("Deploy", "Custom", "Codeyard-Release"): ReleaseAction(self._deploys.control),
            ("Invoke", "AWS", "Lambda"): function,
            ("Invoke", "AWS", "CodePipeline"): InvokePipeline(self._start_by_pipeline),
            ("Rule", "AWS", "VariableCheck"): VariableCheckRule(),
            ("Rule", "AWS", "DeploymentWindow"): DeploymentWindowRule(now),
            ("Rule", "AWS", "LambdaInvoke"): function,
            ("Rule", "AWS", "Commands"): commands,
            ("Rule", "AWS", "CodeBuild"): build,
        }

        def find(type: ActionType) -> Action | None:
            found = by_type.get((type.category, type.owner, type.provider))
            return found if found is not None or type.owner == "AWS" else custom

        return find

    def _access(self) -> Access:
        config = self._config
        hosts = self._repositories.hosts
        credential = imported_credentials(self._parts.source_credentials, self._secrets_of, hosts)
        histories = GitHistories(config.data / "mirrors", git_environment(config.host_git))
        reach = Reach(config.local_sources, config.host_git, config.data)
        return Access(histories, self._repositories, reach, credential)

    def _server_of(self, url: str) -> str | None:
        return next((each.value for each in servers(url, self._repositories.hosts)), None)

    def _secrets_of(self, owner: Owner) -> Any:
        async def allow(_action: str, _arn: str) -> None:
            """What the account imported is the account's own."""

        return self._parts.secrets(owner, allow)

    def _page(self, work: Work) -> str:
        place = work.place
        return f"{public_url(self._config)}/console/pipelines/{place.owner.region}/{place.pipeline}"

    # ── rights ──

    async def _rights(self, owner: Owner, role: str, name: str) -> Rights:
        caller = await self._parts.session_caller(role, name)
        permit = permission(self._parts.identities, caller)

        async def asked(action: str, arn: str) -> None:
            try:
                await permit(action, arn)
            except Denied as error:
                raise ActionFailed(ErrorCode.PERMISSION, error.what) from None

        on_thread = on_threads(permit, asyncio.get_running_loop())
        return Rights(asked, self._parts.open_bucket(owner, on_thread))

    async def _may_assume(self, owner: Owner, pipeline: str, own: str, role: str) -> bool:
        """Whether CodePipeline may take on the pipeline's role, and that the action's, as they are now."""
        if not await self._assumable(owner, own, pipeline_arn(owner, pipeline)):
            return False
        caller = None if role == own else await self._parts.session_caller(own, "codepipeline")
        if caller is None:
            return role == own
        return await self._parts.identities.may_assume(caller, role, "sts:AssumeRole", {})

    def _buckets_of(self, watched: Watched, action: Declared) -> Any:
        """Buckets as a pipeline's role, or its action's, may use them; on threads."""
        own, loop = watched.declaration.role, asyncio.get_running_loop()
        role = action.role or own

        async def ask(wanted: str, arn: str) -> None:
            if not await self._may_assume(watched.owner, watched.pipeline, own, role):
                raise ActionFailed(ErrorCode.PERMISSION, f"Not authorized to perform AssumeRole on role {role}")
            rights = await self._rights(watched.owner, role, "codepipeline-polling")
            await rights.permit(wanted, arn)

        return self._parts.open_bucket(watched.owner, on_threads(ask, loop))

    async def _assumable(self, owner: Owner, role: str, source_arn: str) -> bool:
        """Of a role of the owner's account: whom another's trusts is for that account to use."""
        parsed = RoleArn.parse(role)
        if parsed is None or parsed.account != owner.account:
            return False
        context = {"aws:SourceAccount": owner.account, "aws:SourceArn": source_arn}
        decision = await self._parts.identities.trusts(role, Asker(service=_SERVICE), "sts:AssumeRole", context)
        return decision.allowed

    async def _job_credentials(self, role: str, read: Sequence[str], written: Sequence[str]) -> Credentials:
        limits = Limits(policies=(session_policy(read, written),))
        session = await self._parts.identities.assume(role, "codepipeline-job", _JOB_SECONDS, limits)
        return Credentials(session.id, session.secret, session.token)

    async def _encryption_key(self, place: Place) -> str | None:
        _, version = await self._control.definitions.get(place.owner, place.pipeline)
        store = parse(version.shape).store(place.owner.region)
        return None if store is None else store.key

    async def _job_secrets(self, owner: Owner, run: str) -> Mapping[str, str]:
        """The secret values of an action execution's configuration."""

        def work(tx: Tx) -> tuple[StoredRun, StoredVersion] | None:
            stored = runs_table.load(tx, run)
            if stored is None or stored.owner.account != owner.account:
                return None
            execution = executions_table.load(tx, stored.owner, stored.pipeline, stored.execution)
            if execution is None:
                return None
            version = execution.execution.version
            found = pipelines_table.version_of(tx, stored.owner, stored.pipeline, version)
            return None if found is None else (stored, found)

        found = await self._db.read(work)
        if found is None or found[1].secrets is None:
            return {}
        stored, version = found
        stage = parse(version.shape).stage(stored.stage)
        action = stage.action(stored.name) if stage is not None else None
        secrets = self._sealer.unsealed(stored.owner, stored.pipeline, version.secrets or b"")
        return {} if action is None else secret_values(stored.stage, action, secrets)

    # ── what starts executions ──

    async def _start_by_pipeline(self, place: Place, name: str, given: Mapping[str, Any]) -> str:
        await check_chain(self._db, place, name)
        detail = f"{place.pipeline_arn}/{place.execution}"
        return await self._control.start(place.owner, name, given, Trigger("StartPipelineExecution", detail))

    async def _start_by_webhook(self, owner: Owner, name: str, webhook_arn: str) -> str:
        return await self._control.start(owner, name, {}, Trigger("Webhook", webhook_arn), required=False)

    async def _begin(self, watched: Watched, begin: Begin) -> None:
        trigger = Trigger(begin.kind, begin.detail)
        await self._control.start(watched.owner, watched.pipeline, begin.given, trigger, required=False)

    # ── the API ──

    def _service(self) -> Service:
        parts, pages = self._parts, self._parts.pages
        tagged: Mapping[str, Tagged] = {"actiontype": TypeTags(), "webhook": WebhookTags()}
        pipelines = PipelineOperations(
            self._db, self._control, parts.identities, self._assumable, custom_types_table.catalogue, self._sealer,
            pages, now, tagged,
        )  # fmt: skip
        executions = ExecutionOperations(
            self._db, self._control, pages, now, partial(live_targets, self._deploys.control)
        )
        jobs = JobOperations(
            self._db, now, _answer, lambda run: self._control.runners.touched((run,)), self._job_secrets,
            self._job_credentials,
        )  # fmt: skip
        types = ActionTypeOperations(self._db, pages, _used)
        webhooks = WebhookOperations(self._stored_webhooks, self._target_exists, pages, public_url(self._config))
        return Service(
            "codepipeline", (pipelines, executions, jobs, types, webhooks), _ERRORS, DECLINED, None, executions.exact
        )

    async def _target_exists(self, owner: Owner, pipeline: str, action: str) -> Any:
        try:
            _, version = await self._control.definitions.get(owner, pipeline)
        except Refused:
            return "no pipeline"
        there = parse(version.shape).stages[0].action(action) is not None
        return "exists" if there else "no action"

    async def _config_of(self, owner: Owner, pipeline: str, action: str) -> Mapping[str, str]:
        _, version = await self._control.definitions.get(owner, pipeline)
        found = parse(version.shape).stages[0].action(action)
        if found is None:
            raise NotFound(f"action {action}", f"the pipeline {pipeline} has it no more.", "Put the webhook again.")
        return found.configuration


def pipelines_of(parts: Parts, builds: BuildControl, deploys: Deploys) -> Pipelines:
    """Everything that a process which serves the API has of pipelines."""
    return _Made(parts, builds, deploys).pipelines()


def _answer(tx: Tx, run: str, answer: Mapping[str, Any]) -> None:
    if not runs_table.add_answer(tx, run, answer):
        raise Refused("InvalidJobStateException", "The action execution of this job does not wait for it any more")


def _used(tx: Tx, owner: Owner, type: ActionType) -> bool:
    for stored in pipelines_table.listed(tx, owner, "", 10_000):
        version = pipelines_table.version_of(tx, owner, stored.name, stored.version)
        plan = parse(version.shape) if version is not None else None
        if plan is not None and any(action.type == type for stage in plan.stages for action in stage.actions):
            return True
    return False

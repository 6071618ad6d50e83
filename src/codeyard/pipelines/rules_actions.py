"""What an action may be: its type, its artifacts, its place and its configuration. Pure.

Sources: User Guide, "Action structure", "Valid input and output artifacts for each action type", "Add a cross-Region
action", and the reference page of each provider. All are refused with InvalidActionDeclarationException.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.pipelines.action_types import ActionTypeSpec, Catalogue, Counts
from codeyard.pipelines.model import Action, ActionType, Declaration, Stage
from codeyard.pipelines.rules_configuration import Configured, faults
from codeyard.pipelines.rules_references import EXECUTION, PIPELINE

_COMMANDS = ActionType("Compute", "AWS", "Commands")
_APPROVAL = ActionType("Approval", "AWS", "Manual")
_WITH_ENVIRONMENT = (_COMMANDS, ActionType("Deploy", "AWS", "EKS"))  # whose pages have environmentVariables


def check_actions(declaration: Declaration, catalogue: Catalogue, owner: Owner) -> None:
    """Refused, at the first action that is wrong; then namespaces and artifacts, which must be unique."""
    for stage, action, available in _in_order(declaration):
        spec = catalogue.find(action.type)
        if spec is None:
            raise _invalid(_unavailable(action, owner.region))
        _check_members(action)
        _check_counts(action, spec)
        _check_inputs(action, available)
        _check_region(action, declaration, owner)
        subject = f"Action configuration for action '{action.name}'"
        wrong = next(faults(Configured(subject, spec, action.configuration, action.inputs, owner.region)), None)
        if wrong:
            raise _invalid(wrong)
        _check_namespace(stage, action, declaration)
    _check_unique(declaration)


def _in_order(declaration: Declaration) -> Iterator[tuple[Stage, Action, frozenset[str]]]:
    """Each action with the artifacts that there are when it begins."""
    available: frozenset[str] = frozenset()
    for stage in declaration.stages:
        for group in stage.groups:
            for action in group:
                yield stage, action, available
            available |= {output.name for action in group for output in action.outputs}


def _unavailable(action: Action, region: str) -> str:
    """Observed."""
    type = action.type
    return (
        f"ActionType (Category: '{type.category}', Provider: '{type.provider}', Owner: '{type.owner}', "
        f"Version: '{type.version}') in action '{action.name}' is not available in region "
        f"'{region.upper().replace('-', '_')}'"
    )


# ── members that only some types have ──


def _check_members(action: Action) -> None:
    commands = action.type == _COMMANDS
    if commands and not action.commands:
        raise _invalid(f"Action {action.name} must have a non-empty commands field")  # observed
    if any("\n" in command or "\r" in command for command in action.commands):
        raise _invalid(f"Action {action.name} has a command of several lines, which is not supported")
    elsewhere = {
        "commands": action.commands,
        "outputVariables": action.output_variables,
        "files of outputArtifacts": any(output.files for output in action.outputs),
    }
    for member in (member for member, given in elsewhere.items() if given and not commands):
        raise _invalid(f"Action {action.name} has {member}, which are only supported for the Commands action")
    _check_environment(action, commands)
    if action.timeout_minutes is not None and action.type != _APPROVAL:
        raise _invalid(f"Action {action.name} has timeoutInMinutes, which is only supported for manual approvals")


def _check_environment(action: Action, commands: bool) -> None:
    if action.environment and action.type not in _WITH_ENVIRONMENT:
        raise _invalid(
            f"Action {action.name} has environmentVariables, which are not supported for {action.type.provider}"
        )
    if not commands and any(variable.type == "SECRETS_MANAGER" for variable in action.environment):
        raise _invalid(
            f"Action {action.name} has environmentVariables of the type SECRETS_MANAGER, "
            "which are only supported for the Commands action"
        )
    for name, times in Counter(variable.name for variable in action.environment).items():
        if times > 1:
            raise _invalid(f"Action {action.name} has more than one environment variable of the name {name}")


# ── artifacts ──


def _check_counts(action: Action, spec: ActionTypeSpec) -> None:
    _check_count(action.name, "input", len(action.inputs), spec.inputs)
    _check_count(action.name, "output", len(action.outputs), spec.outputs)


def _check_count(name: str, kind: str, count: int, counts: Counts) -> None:
    declares = f"Action {name} declares {count} {kind} artifacts which is"  # observed
    if count < counts.least:
        raise _invalid(f"{declares} less than the minimum count ({counts.least})")
    if count > counts.most:
        raise _invalid(f"{declares} greater than the maximum count ({counts.most})")


def _check_inputs(action: Action, available: frozenset[str]) -> None:
    for name, times in Counter(action.inputs).items():
        if name not in available:
            # observed
            raise _invalid(
                f"Input Artifact Bundle {name} in action {action.name} is not declared as Output Artifact Bundle "
                "in any of the preceding actions"
            )
        if times > 1:
            raise _invalid(f"Input Artifact Bundle {name} has been used more than once in action {action.name}")


def _check_unique(declaration: Declaration) -> None:
    actions = [(stage, action) for stage in declaration.stages for action in stage.actions]
    artifacts = Counter(output.name for _, action in actions for output in action.outputs)
    twice = [name for name, times in artifacts.items() if times > 1]
    if twice:
        raise _invalid(
            f"Output Artifact Bundle name must be unique within the pipeline. {twice[0]} has been used more than once."
        )
    repeated = list(_repeated(actions))
    if repeated:
        # observed
        text = "Namespaces must be unique across the pipeline definition. The following occur more than once in the"
        raise _invalid(f"{text} pipeline. {'; '.join(repeated[:20])}")
    for _, action in actions:
        if action.namespace in artifacts:
            raise _invalid(
                f"The namespace {action.namespace} of action {action.name} is the name of an artifact of the pipeline"
            )


def _repeated(actions: Iterable[tuple[Stage, Action]]) -> Iterator[str]:
    seen: set[str] = set()
    for stage, action in actions:
        if action.namespace in seen:
            yield f"StageName=[{stage.name}], ActionName=[{action.name}], Namespace=[{action.namespace}]"
        if action.namespace:
            seen.add(action.namespace)


# ── place and name ──


def _check_region(action: Action, declaration: Declaration, owner: Owner) -> None:
    if action.region in (None, owner.region):
        return
    if action.type.category == "Source" or action.type.owner != "AWS":
        raise _invalid(
            f"Action {action.name} cannot run in region {action.region}: cross-region actions are only supported "
            "for AWS actions that are not source actions"
        )
    if declaration.stores.get(action.region or "") is None:
        raise Refused(
            "InvalidStructureException",
            f"artifactStores must include an artifact store for region {action.region} of action {action.name}",
        )


def _check_namespace(stage: Stage, action: Action, declaration: Declaration) -> None:
    taken = action.namespace == EXECUTION or (action.namespace == PIPELINE and declaration.variables)
    if taken:
        raise _invalid(
            f"The namespace {action.namespace} is reserved. StageName=[{stage.name}], ActionName=[{action.name}]"
        )


def _invalid(text: str) -> Refused:
    return Refused("InvalidActionDeclarationException", text)

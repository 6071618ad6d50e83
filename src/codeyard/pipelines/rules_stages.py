"""What a stage may be, and the conditions of its entry and its end. Pure.

Sources: User Guide, "Stage-level requirements", "Stage conditions", "Rule structure reference", "Quotas".
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.pipelines.model import Action, Condition, Declaration, ExecutionMode, Moment, Result, Stage
from codeyard.pipelines.rule_types import RULE_TYPES
from codeyard.pipelines.rules_configuration import Configured, faults

ACTIONS = 50
RULES = 5
_MEMBERS = {
    Moment.BEFORE_ENTRY: "beforeEntry",
    Moment.ON_SUCCESS: "onSuccess",
    Moment.ON_FAILURE: "onFailure",
}
_RESULTS = {
    Moment.BEFORE_ENTRY: (Result.FAIL, Result.SKIP),
    Moment.ON_SUCCESS: (Result.FAIL, Result.ROLLBACK),
    Moment.ON_FAILURE: (Result.ROLLBACK,),
}
_PLAIN_RESULTS = (Result.RETRY, Result.ROLLBACK)  # of a stage's failure, without a condition
_MAY_SKIP = ("LambdaInvoke", "VariableCheck")
Shape = Mapping[str, Any]


def check_stages(shape: Shape, declaration: Declaration, owner: Owner) -> None:
    """Refused: InvalidStageDeclarationException, InvalidBlockerDeclarationException."""
    for name, times in Counter(stage.name for stage in declaration.stages).items():
        if times > 1:
            raise _invalid(f"Stage names must be unique. The following stage name is already in use: {name}")
    available: frozenset[str] = frozenset()  # artifacts of the stages before
    for at, (raw, stage) in enumerate(zip(shape["stages"], declaration.stages, strict=True)):
        if raw.get("blockers"):
            raise Refused("InvalidBlockerDeclarationException", f"Stage {stage.name} declares a blocker: reserved")
        _check_actions(stage)
        own = available | {output.name for action in stage.actions for output in action.outputs}
        _check_failure(raw, stage, first=at == 0)
        if declaration.mode is ExecutionMode.PARALLEL:
            _check_no_rollback(stage)
        for moment in Moment:
            condition = stage.condition(moment)
            if condition is None:
                continue
            if at == 0:
                raise _invalid(f"Stage {stage.name} is the first one, which can have no {_MEMBERS[moment]} conditions")
            artifacts = available if moment is Moment.BEFORE_ENTRY else own
            _check_condition(stage, moment, condition, artifacts, declaration, owner)
        available = own


def _check_actions(stage: Stage) -> None:
    if not stage.actions:
        raise _invalid(f"Stage {stage.name} must have at least one action")
    if len(stage.actions) > ACTIONS:
        raise _invalid(
            f"Stage {stage.name} has {len(stage.actions)} actions. There should be a maximum of {ACTIONS} in a stage"
        )
    for name, times in Counter(action.name for action in stage.actions).items():
        if times > 1:
            raise _invalid(
                f"Action names must be unique in a stage. The following action name is already in use in stage "
                f"{stage.name}: {name}"
            )


def _check_failure(raw: Shape, stage: Stage, first: bool) -> None:
    """User Guide, "Configure automatic rollback" and "automatic retry": the source stage can only be retried."""
    failure = stage.on_failure
    if failure is None:
        return
    if failure.result is not None and failure.condition is not None:
        raise _invalid(f"onFailure of stage {stage.name} has both conditions and the result {failure.result}")
    if failure.condition is None and failure.result not in _PLAIN_RESULTS:
        raise _invalid(f"onFailure of stage {stage.name} must have conditions or one of the results RETRY, ROLLBACK")
    if raw["onFailure"].get("retryConfiguration") and failure.result is not Result.RETRY:
        raise _invalid(f"onFailure of stage {stage.name} has a retryConfiguration, but its result is not RETRY")
    if first and failure.result is Result.ROLLBACK:
        raise _invalid(f"Stage {stage.name} is the first one, which cannot be rolled back")


def _check_no_rollback(stage: Stage) -> None:
    """User Guide, "Set or change the pipeline execution mode"."""
    conditions = (stage.condition(moment) for moment in Moment)
    results = [each.result for each in conditions if each is not None]
    if stage.on_failure is not None:
        results.append(stage.on_failure.result)
    if Result.ROLLBACK in results:
        raise _invalid(f"Stage {stage.name} has the result ROLLBACK, which pipelines in PARALLEL mode cannot have")


def _check_condition(
    stage: Stage,
    moment: Moment,
    condition: Condition,
    artifacts: frozenset[str],
    declaration: Declaration,
    owner: Owner,
) -> None:
    where = f"{_MEMBERS[moment]} of stage {stage.name}"
    allowed = _RESULTS[moment]
    if condition.result not in allowed:
        raise _invalid(f"The result of a condition in {where} must be one of {', '.join(allowed)}")
    if not 1 <= len(condition.rules) <= RULES:
        raise _invalid(f"A condition in {where} must have 1 to {RULES} rules")
    for name, times in Counter(rule.name for rule in condition.rules).items():
        if times > 1:
            raise _invalid(f"Rule names must be unique in a condition. {where} has more than one of: {name}")
    for rule in condition.rules:
        if condition.result is Result.SKIP and rule.type.provider not in _MAY_SKIP:
            raise _invalid(f"The result SKIP in {where} is only supported for the rules {', '.join(_MAY_SKIP)}")
        _check_rule(where, rule, artifacts, declaration, owner)


def _check_rule(where: str, rule: Action, artifacts: frozenset[str], declaration: Declaration, owner: Owner) -> None:
    spec = RULE_TYPES.find(rule.type)
    if spec is None:
        raise _invalid(f"RuleType (Provider: '{rule.type.provider}', Version: '{rule.type.version}') in rule "
                       f"'{rule.name}' of {where} is not available")  # fmt: skip
    if not spec.inputs.least <= len(rule.inputs) <= spec.inputs.most:
        raise _invalid(
            f"Rule {rule.name} in {where} declares {len(rule.inputs)} input artifacts, "
            f"which is more than the maximum count ({spec.inputs.most})"
        )
    for name in rule.inputs:
        if name not in artifacts:
            raise _invalid(f"Input Artifact Bundle {name} in rule {rule.name} of {where} is not declared before it")
    if (rule.type.provider == "Commands") != bool(rule.commands):
        must = "must have a non-empty" if not rule.commands else "must not have a"
        raise _invalid(f"Rule {rule.name} in {where} {must} commands field")
    if any("\n" in command or "\r" in command for command in rule.commands):
        raise _invalid(f"Rule {rule.name} in {where} has a command of several lines, which is not supported")
    if rule.region not in (None, owner.region) and declaration.stores.get(rule.region or "") is None:
        raise _invalid(f"Rule {rule.name} in {where} has no artifact store in region {rule.region}")
    subject = f"Rule configuration for rule '{rule.name}'"
    wrong = next(faults(Configured(subject, spec, rule.configuration, rule.inputs, owner.region)), None)
    if wrong:
        raise _invalid(wrong)


def _invalid(text: str) -> Refused:
    return Refused("InvalidStageDeclarationException", text)

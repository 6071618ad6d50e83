"""Whether a pipeline's definition is accepted, and what is stored of it: CreatePipeline and UpdatePipeline ask. Pure.

Sources: User Guide, "Pipeline structure reference" and "Quotas"; texts marked as observed are AWS's own, the others are
ours in the same form. What the model says of each member alone (patterns, lengths, enumerations) was checked before.
One failure is told, the first: of the structure, then of its stages, then of its actions, then of its variables.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.pipelines import triggers
from codeyard.pipelines.action_types import Catalogue
from codeyard.pipelines.expressions import refers
from codeyard.pipelines.model import ActionType, Declaration, parse
from codeyard.pipelines.rules_actions import check_actions
from codeyard.pipelines.rules_references import check_references
from codeyard.pipelines.rules_stages import check_stages

STAGES = (2, 50)
ACTIONS = 1000  # of a whole pipeline
_REGION = re.compile(r"[a-z]{2,3}(-[a-z]{2,12}){1,3}-[0-9]{1,2}")
_DROPPED_EMPTY = ("variables", "triggers")  # empty, they say nothing, in V1 too
_ONE_STORE = "You must include either artifactStore or artifactStores in your pipeline, but you cannot use both."
# observed
_TRIGGER = (
    "The trigger configuration for the source action is not valid. Make sure to choose valid filter combinations."
)
_INVOKE = ActionType("Invoke", "AWS", "CodePipeline")
Shape = Mapping[str, Any]


def check(shape: Shape, owner: Owner, catalogue: Catalogue, previous: Shape | None = None) -> dict[str, Any]:
    """The PipelineDeclaration to store, its defaults filled in. Refused, by AWS's type of error.

    `owner`: whose pipeline, in which region. `previous`: what is stored now, of an update; it gives the version.
    What this gave is accepted again and given back as it is, but for the version after an update.
    """
    normal = _normalised(shape, previous)
    declaration = parse(normal)
    normal["pipelineType"] = _type(shape.get("pipelineType"), declaration, catalogue)
    _check_structure(normal, declaration, owner)
    check_stages(normal, declaration, owner)
    check_actions(declaration, catalogue, owner)
    check_references(declaration, frozenset(_secret_keys(declaration, catalogue)))
    return normal


def invokes(shape: Shape) -> set[str]:
    """The names of the pipelines that this one starts, as far as they are known: not those that a variable gives."""
    names = [
        action.configuration.get("PipelineName", "")
        for stage in parse(shape).stages
        for action in stage.actions
        if action.type == _INVOKE
    ]
    return {name for name in names if name and not refers(name)}


# ── defaults ──


def _normalised(shape: Shape, previous: Shape | None) -> dict[str, Any]:
    normal = {name: value for name, value in shape.items() if value or name not in _DROPPED_EMPTY}
    normal["stages"] = [_stage(stage) for stage in shape["stages"]]
    normal["version"] = 1 if previous is None else (previous.get("version") or 1) + 1
    normal["executionMode"] = shape.get("executionMode") or "SUPERSEDED"
    normal["pipelineType"] = shape.get("pipelineType") or "V1"
    return normal


def _stage(shape: Shape) -> dict[str, Any]:
    stage = {name: value for name, value in shape.items() if value or name not in ("blockers", "onFailure")}
    stage["actions"] = [_action(action) for action in shape["actions"]]
    for moment in ("beforeEntry", "onSuccess", "onFailure"):
        if stage.get(moment):
            stage[moment] = _conditions(stage[moment])
    return stage


def _action(shape: Shape) -> dict[str, Any]:
    filled = {"runOrder": 1, "configuration": {}, "outputArtifacts": [], "inputArtifacts": []}
    return {**filled, **{name: value for name, value in shape.items() if value is not None}}


def _conditions(shape: Shape) -> dict[str, Any]:
    """With owner and version of each rule's type; a ROLLBACK that onFailure states for its condition goes into it.

    API reference, FailureConditions.result: "The specified result for when the failure conditions are met".
    """
    filled = dict(shape)
    conditions = [dict(one) for one in shape.get("conditions") or ()]
    for condition in conditions:
        if condition.get("rules"):
            condition["rules"] = [_rule(rule) for rule in condition["rules"]]
    if conditions:
        filled["conditions"] = conditions
        if filled.get("result") == "ROLLBACK" and conditions[0].get("result") in (None, "ROLLBACK"):
            conditions[0]["result"] = filled.pop("result")
    return filled


def _rule(shape: Shape) -> dict[str, Any]:
    return {
        "configuration": {},
        "inputArtifacts": [],
        **shape,
        "ruleTypeId": {"owner": "AWS", "version": "1", **shape["ruleTypeId"]},
    }


# ── V1 or V2 ──


def _type(asked: str | None, declaration: Declaration, catalogue: Catalogue) -> str:
    """User Guide, "Pipeline types": what only V2 has makes a pipeline V2, unless it was said to be V1."""
    only_v2 = next(_only_v2(declaration, catalogue), None)
    if asked == "V1" and only_v2 is not None:
        raise _invalid(f"{only_v2} can only be used with V2 pipelines")
    return "V2" if asked == "V2" or only_v2 is not None else "V1"


def _only_v2(declaration: Declaration, catalogue: Catalogue) -> Iterator[str]:
    if declaration.variables:
        yield "Pipeline variable"  # observed
    if declaration.triggers:
        tags = any("tags" in push for one in declaration.triggers for push in one["gitConfiguration"].get("push", ()))
        yield "Triggers on tag" if tags else "Triggers"  # the former was observed
    if declaration.mode != "SUPERSEDED":
        yield f"Execution mode {declaration.mode}"
    for stage in declaration.stages:
        if stage.before_entry or stage.on_success or stage.on_failure:
            yield f"Conditions of stage {stage.name}"
        for action in stage.actions:
            spec = catalogue.find(action.type)
            if spec is not None and spec.v2:
                yield f"Action type {action.type.provider} of action {action.name}"


# ── structure ──


def _check_structure(shape: Shape, declaration: Declaration, owner: Owner) -> None:
    stages = len(declaration.stages)
    if stages < STAGES[0]:
        # observed
        raise _invalid(
            f"Pipeline has only {stages} stage(s). There should be a minimum of {STAGES[0]} stages in a pipeline"
        )
    if stages > STAGES[1]:
        raise _invalid(f"Pipeline has {stages} stage(s). There should be a maximum of {STAGES[1]} stages in a pipeline")
    actions = sum(len(stage.actions) for stage in declaration.stages)
    if actions > ACTIONS:
        raise _invalid(f"Pipeline has {actions} actions. There should be a maximum of {ACTIONS} actions in a pipeline")
    _check_stores(shape, owner)
    _check_sources(declaration)
    _check_variables(declaration)
    _check_triggers(declaration)


def _check_stores(shape: Shape, owner: Owner) -> None:
    stores = shape.get("artifactStores") or {}
    if bool(shape.get("artifactStore")) == bool(stores):
        raise _invalid(_ONE_STORE)
    for region in stores:
        if not _REGION.fullmatch(region):
            # observed
            text = f"The region {region} specified in 'pipeline.artifactStores' is not a valid AWS Region."
            raise Refused("ValidationException", text)
    if stores and owner.region not in stores:
        raise _invalid(f"artifactStores must include an artifact store for the pipeline's own region, {owner.region}")


def _check_sources(declaration: Declaration) -> None:
    first, *others = declaration.stages
    if first.actions and any(action.type.category != "Source" for action in first.actions):
        raise _invalid("Pipeline should start with a stage that only contains source actions")  # observed
    for stage in others:
        for action in stage.actions:
            if action.type.category == "Source":
                raise _invalid(
                    f"Source actions are only allowed in the first stage. StageName=[{stage.name}], "
                    f"ActionName=[{action.name}]"
                )


def _check_variables(declaration: Declaration) -> None:
    for name, times in Counter(variable.name for variable in declaration.variables).items():
        if times > 1:
            # observed
            raise _invalid(f"Variable names must be unique. The following variable name is already in use: {name}")


def _check_triggers(declaration: Declaration) -> None:
    providers = {
        action.name: action.type.provider if action.type.owner == "AWS" else str(action.type)
        for action in declaration.stages[0].actions
    }
    wrong = triggers.violations(declaration.triggers, providers)
    if wrong:
        raise _invalid(f"{_TRIGGER} {'; '.join(wrong[:20])}")


def _secret_keys(declaration: Declaration, catalogue: Catalogue) -> Iterator[tuple[str, str, str]]:
    for stage in declaration.stages:
        for action in stage.actions:
            spec = catalogue.find(action.type)
            for key in spec.secrets if spec is not None else ():
                yield stage.name, action.name, key


def _invalid(text: str) -> Refused:
    return Refused("InvalidStructureException", text)

"""Which variables an action or a rule may refer to: checked by namespace when the definition is saved. Pure.

Source: User Guide, "Variables reference". The keys of an action's namespace are not known before it ran; those of the
pipeline's own variables are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from codeyard.aws import Refused
from codeyard.pipelines.expressions import malformed, references
from codeyard.pipelines.model import Action, Declaration, Moment, Stage

EXECUTION = "codepipeline"  # the namespace that every execution has
PIPELINE = "variables"  # the one of the variables that a pipeline declares
_SHOWN = 20  # references in one text
# These three texts were observed.
_FORM = "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.)."
_ABSENT = f"{_FORM} The following pipeline execution variables are referencing a namespace that does not exist."
_UNDECLARED = "The referenced variables haven't been declared."
_IN_SOURCE = "Variables at the pipeline level cannot be used in source actions."
_MALFORMED = f"{_FORM} The following pipeline execution variables are not in this format."


@dataclass(frozen=True, slots=True)
class _Use:
    """One text in which references may be."""

    stage: str
    action: str
    key: str
    text: str
    known: frozenset[str]  # namespaces of actions that have run by then
    source: bool = False

    def told(self, reference: str) -> str:
        return (
            f"StageName=[{self.stage}], ActionName=[{self.action}], ActionConfigurationKey=[{self.key}], "
            f"VariableReferenceText=[{reference:.200}]"
        )


def check_references(declaration: Declaration, secrets: frozenset[tuple[str, str, str]]) -> None:
    """Refused, with all references that are wrong in the same way. `secrets`: stage, action, key that are not read."""
    uses = [use for use in _uses(declaration) if (use.stage, use.action, use.key) not in secrets]
    declared = frozenset(variable.name for variable in declaration.variables)
    _refuse(_MALFORMED, [use.told(written) for use in uses for written in malformed(use.text)])
    _refuse(_IN_SOURCE, list(_in_source(uses, declared)))
    _refuse(_UNDECLARED, list(_undeclared(uses, declared)))
    _refuse(_ABSENT, list(_absent(uses)))


def _refuse(text: str, told: Sequence[str]) -> None:
    if told:
        more = "; …" if len(told) > _SHOWN else ""
        raise Refused("InvalidActionDeclarationException", f"{text} {'; '.join(told[:_SHOWN])}{more}")


def _in_source(uses: Iterable[_Use], declared: frozenset[str]) -> Iterator[str]:
    for use, _, written in _of_pipeline(uses):
        if use.source and declared:
            yield use.told(written)


def _undeclared(uses: Iterable[_Use], declared: frozenset[str]) -> Iterator[str]:
    for use, key, written in _of_pipeline(uses):
        if key not in declared:
            yield use.told(written)


def _of_pipeline(uses: Iterable[_Use]) -> Iterator[tuple[_Use, str, str]]:
    """What speaks of the pipeline's own variables; not if an action has taken their namespace."""
    for use in uses:
        for namespace, key in references(use.text):
            if namespace == PIPELINE and PIPELINE not in use.known:
                yield use, key, f"#{{{namespace}.{key}}}"


def _absent(uses: Iterable[_Use]) -> Iterator[str]:
    for use in uses:
        for namespace, key in references(use.text):
            if namespace not in (EXECUTION, PIPELINE) and namespace not in use.known:
                yield use.told(f"#{{{namespace}.{key}}}")


def _uses(declaration: Declaration) -> Iterator[_Use]:
    before: frozenset[str] = frozenset()
    for stage in declaration.stages:
        for rule in _rules(stage, Moment.BEFORE_ENTRY):
            yield from _of_action(stage, rule, before)
        for group in stage.groups:
            for action in group:
                yield from _of_action(stage, action, before)
            before |= {action.namespace for action in group if action.namespace}
        for rule in (*_rules(stage, Moment.ON_SUCCESS), *_rules(stage, Moment.ON_FAILURE)):
            yield from _of_action(stage, rule, before)


def _rules(stage: Stage, moment: Moment) -> tuple[Action, ...]:
    condition = stage.condition(moment)
    return condition.rules if condition is not None else ()


def _of_action(stage: Stage, action: Action, known: frozenset[str]) -> Iterator[_Use]:
    texts = [
        *action.configuration.items(),
        *(("commands", command) for command in action.commands),
        *((f"environmentVariables.{variable.name}", variable.value) for variable in action.environment),
    ]
    for key, text in texts:
        yield _Use(stage.name, action.name, key, text, known, action.type.category == "Source")

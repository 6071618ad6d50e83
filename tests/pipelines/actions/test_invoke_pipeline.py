"""Another pipeline is started, once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from codeyard.aws import Refused
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Place
from codeyard.pipelines.actions.invoke_pipeline import InvokePipeline
from tests.pipelines.works import OWNER, RUN, action, bench_at

TYPE = "Invoke/AWS/CodePipeline/1"
ARN = f"arn:aws:codepipeline:us-east-1:{OWNER.account}:other"


class Starts:
    def __init__(self, refusal: str = "") -> None:
        self.given: list[tuple[str, Mapping[str, Any]]] = []
        self.refusal = refusal

    async def __call__(self, place: Place, name: str, given: Mapping[str, Any]) -> str:
        if self.refusal:
            raise Refused(self.refusal, "no")
        self.given.append((name, given))
        return f"execution-{len(self.given)}"


async def test_it_starts_the_pipeline_by_a_token_of_its_own_and_not_again_after_a_crash(tmp_path: Path) -> None:
    configuration = {"PipelineName": "other", "Variables": '[{"name": "A", "value": 1}]'}
    bench, starts = bench_at(tmp_path, action(TYPE, configuration)), Starts()

    first = await InvokePipeline(starts).run(bench)
    again = await InvokePipeline(starts).run(bench.again())

    [(name, given)] = starts.given
    assert (name, given["clientRequestToken"]) == ("other", RUN)
    assert given["variables"] == [{"name": "A", "value": "1"}]
    assert first == again
    assert first.external_id == "execution-1"
    assert set(bench.permitted) == {("codepipeline:StartPipelineExecution", ARN)}


async def test_what_the_role_may_not_start_is_not_started(tmp_path: Path) -> None:
    starts = Starts()
    bench = bench_at(tmp_path, action(TYPE, {"PipelineName": "other"}), denied=["codepipeline:StartPipelineExecution"])

    with pytest.raises(ActionFailed) as failed:
        await InvokePipeline(starts).run(bench)

    assert (failed.value.code, starts.given) == (ErrorCode.PERMISSION, [])


@pytest.mark.parametrize("text", ["{", "1", '"x"', "[1]", '{"a": "b"}'])
async def test_variables_that_are_no_list_fail_the_action(tmp_path: Path, text: str) -> None:
    bench = bench_at(tmp_path, action(TYPE, {"PipelineName": "other", "Variables": text}))

    with pytest.raises(ActionFailed) as failed:
        await InvokePipeline(Starts()).run(bench)

    assert failed.value.code is ErrorCode.CONFIGURATION


async def test_a_refusal_is_told_by_its_code(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, action(TYPE, {"PipelineName": "other"}))

    with pytest.raises(ActionFailed, match="PipelineNotFoundException: no"):
        await InvokePipeline(Starts("PipelineNotFoundException")).run(bench)

"""What only an adapter that runs a command can get right or wrong: processes, their input and their end."""

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import uvloop

from common.contracts.messages import Message
from common.errors import BadUpstream, NotServed, RateLimited, Timeout, Unavailable, UpstreamModelMissing
from common.providers.complete import Completion, complete
from common.providers.model_runner_cli import ModelRunnerCli
from common.providers.protocol import ModelRequest
from tests.contract.subjects import QUESTION
from tests.contract.subjects_model_runner_cli import ModelRunnerCliSubject
from tests.fake_docker import FakeDocker

PATIENCE_SECONDS = 20
NOT_HERE = "ai/nobody-pulled-this"


@pytest.fixture
def cli(tmp_path: Path) -> ModelRunnerCliSubject:
    return ModelRunnerCliSubject(FakeDocker(tmp_path))


async def answer_to(cli: ModelRunnerCliSubject, model: str = "ai/smollm2", text: str = "Why?") -> Completion:
    question = (Message(role="user", content=text),)
    return await complete(cli.provider, cli.asked(model=model, messages=question, timeout_seconds=PATIENCE_SECONDS))


async def over(docker: FakeDocker) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not docker.is_over():  # noqa: ASYNC110  # a helper of another process's
            await asyncio.sleep(0.01)


async def test_a_prompt_of_any_length_and_look_reaches_the_model_unchanged(cli: ModelRunnerCliSubject) -> None:
    prompt = "--help; $(date) `id` 'quoted' \u00e4\u00f6\u00fc\n" * 20_000  # 800 kB: more than a command line takes
    await answer_to(cli, text=prompt)
    [asked] = cli.docker.asked("run")
    assert asked["told"] == prompt
    assert asked["names"] == ["ai/smollm2"]


async def test_a_model_that_looks_like_an_option_is_a_model_that_is_not_there(cli: ModelRunnerCliSubject) -> None:
    with pytest.raises(UpstreamModelMissing):
        await answer_to(cli, model="--debug")
    assert cli.docker.asked("inspect")[0]["names"] == ["--debug"]


async def test_no_file_of_this_machine_gets_into_a_prompt(cli: ModelRunnerCliSubject, tmp_path: Path) -> None:
    secret, picture = tmp_path / "secret", tmp_path / "a picture.png"
    for file in (secret, picture):
        file.write_text("for nobody")
    climb = "../" * 12 + str(secret)[1:]
    await answer_to(
        cli, text=f"@{secret} @\"{secret}\" @'{secret}' @{climb} @./{climb} @journal\nSee {picture}, '{picture}'."
    )
    [asked] = cli.docker.asked("run")
    assert asked["files"] == []  # in the directory it runs in
    assert asked["files_sent"] == []


async def test_the_command_sees_no_key_and_installs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-nobody")
    cli = ModelRunnerCliSubject(FakeDocker(tmp_path))
    await answer_to(cli)
    [asked] = cli.docker.asked("run")
    assert "OPENAI_API_KEY" not in asked["variables"]
    assert "MODEL_RUNNER_NO_AUTO_INSTALL" in asked["variables"]


async def test_a_model_is_looked_up_once_and_never_downloaded(cli: ModelRunnerCliSubject) -> None:
    for _ in range(3):
        await answer_to(cli)
    assert len(cli.docker.asked("inspect")) == 1
    with pytest.raises(UpstreamModelMissing, match=f"ultra models pull {NOT_HERE}"):
        await answer_to(cli, model=NOT_HERE)
    with pytest.raises(UpstreamModelMissing):  # it was there a moment ago
        await answer_to(cli, model="removed")
    assert {asked["names"][0] for asked in cli.docker.asked("run")} == {"ai/smollm2", "removed"}


async def test_thoughts_and_colours_are_no_part_of_the_answer(cli: ModelRunnerCliSubject) -> None:
    assert (await answer_to(cli, "thinking")).text == "They met."
    assert (await answer_to(cli, "coloured")).text == "Bold and linked."


async def test_a_command_that_ends_without_a_word_has_not_answered(cli: ModelRunnerCliSubject) -> None:
    with pytest.raises(BadUpstream, match="docker model logs"):
        await answer_to(cli, "silent")


async def test_a_command_that_never_stops_printing_is_ended(cli: ModelRunnerCliSubject) -> None:
    with pytest.raises(BadUpstream, match="more than"):
        await answer_to(cli, "torrent")
    assert cli.docker.is_over()


async def test_a_command_that_complains_at_length_does_not_stand_still(cli: ModelRunnerCliSubject) -> None:
    assert (await answer_to(cli, "complaining")).text


async def test_what_the_runner_says_about_load_and_absence_is_understood(cli: ModelRunnerCliSubject) -> None:
    with pytest.raises(RateLimited):
        await answer_to(cli, "rate-limited")
    with pytest.raises(Unavailable, match="docker model install-runner"):
        await answer_to(cli, "away")


@pytest.mark.parametrize("model", ["stubborn", "leaves-helper"])
async def test_the_deadline_ends_helpers_that_do_not_listen(cli: ModelRunnerCliSubject, model: str) -> None:
    with pytest.raises(Timeout):
        await complete(cli.provider, cli.asked(model=model, timeout_seconds=2))
    assert cli.docker.is_over()


async def test_a_helper_out_of_reach_is_not_waited_for(
    cli: ModelRunnerCliSubject, pass_time: Callable[[float], None]
) -> None:
    waiting = asyncio.create_task(answer_to(cli, "escaped"))
    while not cli.docker.asked("escape") and not waiting.done():  # noqa: ASYNC110  # another process's file
        await asyncio.sleep(0.01)
    pass_time(PATIENCE_SECONDS)
    with pytest.raises(Timeout):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await waiting
    assert cli.docker.is_over()
    os.kill(cli.docker.asked("escape")[0]["helper"], signal.SIGKILL)


async def test_whoever_is_cancelled_twice_leaves_no_process_either(cli: ModelRunnerCliSubject) -> None:
    waiting = asyncio.create_task(answer_to(cli, "stubborn"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not cli.docker.asked("run"):  # noqa: ASYNC110  # another process's file
            await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.sleep(0.05)  # into the grace that the first allows the command
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await over(cli.docker)


@pytest.mark.parametrize("milliseconds", range(0, 60, 6))
async def test_a_cancellation_at_any_moment_leaves_no_process(cli: ModelRunnerCliSubject, milliseconds: int) -> None:
    waiting = asyncio.create_task(answer_to(cli, "endless"))
    await asyncio.sleep(milliseconds / 1000)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cli.docker.is_over()


def test_a_worker_s_loop_can_run_commands_too(cli: ModelRunnerCliSubject) -> None:
    """It is uvloop's, in a thread that is not the main one, where no signal of a child's end arrives."""
    answers: list[Completion] = []

    async def ask() -> None:
        answers.append(await answer_to(cli))
        async with aclosing(cli.provider.stream(cli.endless(timeout_seconds=PATIENCE_SECONDS))) as stream:
            await anext(stream)

    loop_thread = threading.Thread(target=uvloop.run, args=(ask(),))
    loop_thread.start()
    loop_thread.join(PATIENCE_SECONDS)
    assert not loop_thread.is_alive()
    assert answers[0].finish_reason == "stop"
    assert cli.docker.is_over()


@pytest.mark.parametrize("condition", ["no plugin", "no plugin, old docker"])
async def test_a_missing_plugin_is_said_so_and_not_tried_again(cli: ModelRunnerCliSubject, condition: str) -> None:
    cli.docker.suffers(condition)
    for asked in (answer_to(cli), cli.provider.list_models()):
        with pytest.raises(NotServed, match="docker-model-plugin") as caught:
            await asked
        assert not caught.value.is_retryable


async def test_a_missing_docker_is_said_so(tmp_path: Path) -> None:
    provider = ModelRunnerCli([str(tmp_path / "docker")])
    with pytest.raises(NotServed, match="install Docker"):
        await provider.list_models()
    with pytest.raises(NotServed, match="MODEL_RUNNER_TYPE=api"):
        await complete(provider, ModelRequest("any", QUESTION))


async def test_a_runner_that_does_not_run_is_worth_another_try(cli: ModelRunnerCliSubject) -> None:
    cli.docker.suffers("not running")
    with pytest.raises(Unavailable, match="docker desktop enable model-runner") as caught:
        await cli.provider.list_models()
    assert caught.value.is_retryable


async def test_a_runner_without_models_lists_none(tmp_path: Path) -> None:
    assert await ModelRunnerCli(FakeDocker(tmp_path, models=[]).command).list_models() == []


async def test_the_docker_of_this_machine_says_that_it_lacks_the_plugin() -> None:
    if (docker := shutil.which("docker")) is None:
        pytest.skip("no docker here")
    provider = ModelRunnerCli([docker])
    try:
        await provider.list_models()
    except NotServed as error:
        assert "docker-model-plugin" in error.message  # noqa: PT017  # or the machine has more than we want
    except Unavailable:
        pytest.skip("this docker has the plugin, and no runner")
    else:
        pytest.skip("this docker has the plugin, and a runner")

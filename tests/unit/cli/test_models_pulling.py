import io

import pytest
from rich.console import Console

from cli.exits import ExitCode
from cli.pulling.displays import Bars, Lines
from cli.pulling.docker_command import progress_of
from cli.pulling.model_runner import management_root
from cli.pulling.names import Wanted, is_same, split, wanted
from cli.pulling.puller import MAX_LAYERS, Layers, Progress
from cli.pulling.pulls import Outcome, exit_code
from common.catalog.load import load_catalog
from common.errors import InvalidInput, Unavailable, UpstreamRejected
from common.settings import Settings

PHI3 = Wanted("docker_modelrunner", "phi3:mini")


def failed(error: Exception) -> Outcome:
    return Outcome(PHI3, "failed", error=error)  # type: ignore[arg-type]


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


def test_names_come_with_commas_or_as_several_arguments() -> None:
    assert split(["phi3:mini, llama3:8b", "", "x,"]) == ["phi3:mini", "llama3:8b", "x"]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("phi3:mini", PHI3),
        ("docker_modelrunner-phi3:mini", PHI3),
        ("smollm2", Wanted("docker_modelrunner", "ai/smollm2")),  # an alias of the catalog's
        ("hf.co/org/Model-GGUF:Q4", Wanted("docker_modelrunner", "hf.co/org/Model-GGUF:Q4")),
        ("deepseek-r1", Wanted("docker_modelrunner", "deepseek-r1")),  # no provider of ours
        ("ollama-llama3.1", Wanted("ollama", "llama3.1")),
    ],
)
def test_a_name_is_an_id_an_alias_or_the_model_runner_s_own(name: str, model: Wanted) -> None:
    assert wanted([name, name], load_catalog(Settings(_env_file=None))) == [model]


@pytest.mark.parametrize("name", ["openai-gpt4o", "mock-a", "-phi3", "phi3 mini", "phi3;ls", "\x1b[31m", "a" * 300])
def test_what_nobody_can_pull_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        wanted([name], load_catalog(Settings(_env_file=None)))


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("smollm2", "ai/smollm2:latest", True),
        ("ai/smollm2", "docker.io/ai/smollm2:latest", True),
        ("AI/SmolLM2", "ai/smollm2", True),
        ("smollm2", "smollm2:135M", False),
        ("smollm2", "someone/smollm2", False),
        ("hf.co/a/b", "hf.co/a/b:latest", True),
    ],
)
def test_one_model_has_several_names(one: str, other: str, are_same: bool) -> None:
    assert is_same(one, other, "ai/") is are_same


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:12434/engines/llama.cpp/v1", "http://127.0.0.1:12434"),
        ("http://127.0.0.1:12434/engines/v1", "http://127.0.0.1:12434"),
        ("http://model-runner:8080/v1", "http://model-runner:8080"),
        ("https://gateway.test/runner/engines/vllm/v1/", "https://gateway.test/runner"),
        ("http://other.test/api", "http://other.test/api"),
    ],
)
def test_the_management_api_is_beside_the_openai_compatible_one(url: str, root: str) -> None:
    assert management_root(url) == root


def test_layers_add_up() -> None:
    layers = Layers()
    assert layers.report("a", 10, 100) == Progress(10, 100)
    assert layers.report("b", 0, 50) == Progress(10, 150)
    assert layers.report("a", 100, 100) == Progress(100, 150)
    assert layers.report("b", 50, 50, total_bytes=200) == Progress(150, 200)


def test_layers_without_end_are_not_remembered() -> None:
    layers = Layers()
    for number in range(MAX_LAYERS + 10):
        last = layers.report(str(number), 1, 1)
    assert last.done_bytes == MAX_LAYERS


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("Downloaded 1.00MB of 256.00MB", Progress(1_000_000, 256_000_000)),
        ("Downloaded 2.50GB of 4.00GB", Progress(2_500_000_000, 4_000_000_000)),
        ("Downloaded 0.00B of 0.00B", Progress(0, None)),
        ("Downloaded 1.2.3MB of 256.00MB", Progress(0, 256_000_000)),
        ("Using cached model: 256.35 MiB", Progress(5, 10, "Using cached model: 256.35 MiB")),
        ("\x1b[31mWarning\x07", Progress(5, 10, "[31mWarning")),
    ],
)
def test_the_docker_command_s_lines_are_read(line: str, progress: Progress) -> None:
    assert progress_of(line, Progress(5, 10)) == progress


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([Outcome(PHI3, "pulled"), Outcome(PHI3, "present")], ExitCode.COMPLETED),
        ([Outcome(PHI3, "pulled"), failed(Unavailable())], ExitCode.PARTIAL),
        ([failed(UpstreamRejected()), failed(Unavailable())], ExitCode.FAILED),
        ([failed(Unavailable()), failed(Unavailable())], ExitCode.UNREACHABLE),
    ],
)
def test_the_exit_code_says_how_many_are_there(outcomes: list[Outcome], code: ExitCode) -> None:
    assert exit_code(outcomes) is code


def test_a_terminal_gets_a_bar_a_model(written: io.StringIO) -> None:
    other = Wanted("ollama", "llama3.1")
    with Bars([PHI3, other], Console(file=written, force_terminal=True, width=100)) as bars:
        bars.progress(PHI3, Progress(5_000_000, 10_000_000))
        bars.progress(PHI3, Progress(5_000_000, 10_000_000, "verifying"))
        bars.outcome(Outcome(PHI3, "pulled", 10_000_000))
        bars.outcome(Outcome(other, "failed", error=Unavailable()))
    last = written.getvalue().rpartition("phi3:mini")[2]
    assert "10.0/10.0 MB" in last
    assert "pulled" in last
    assert "llama3.1" in last
    assert "failed" in last


def test_a_log_gets_a_line_at_every_tenth_and_every_note_once(written: io.StringIO) -> None:
    lines = Lines(Console(file=written))
    for done in range(1_001):
        lines.progress(PHI3, Progress(done * 1000, 1_000_000))
    for _ in range(3):
        lines.progress(PHI3, Progress(1_000_000, 1_000_000, "verifying"))
    said = written.getvalue().splitlines()
    assert len(said) == 12
    assert said[1] == "phi3:mini: 100.0 kB of 1.0 MB"
    assert said[-2:] == ["phi3:mini: 1.0 MB of 1.0 MB", "phi3:mini: verifying"]

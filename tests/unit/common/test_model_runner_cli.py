import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.calls import Usage
from common.contracts.messages import Message, ToolCall
from common.errors import (
    AppError,
    BadUpstream,
    ContextTooLong,
    NotServed,
    RateLimited,
    Unavailable,
    Unsupported,
    UpstreamDenied,
    UpstreamModelMissing,
    UpstreamRejected,
)
from common.providers.ansi import EscapeFilter, without_escapes
from common.providers.command import Ended
from common.providers.docker_model import complaint, without_secrets
from common.providers.model_runner_prompt import (
    JOINER,
    MAX_PROMPT_BYTES,
    flattened,
    prompt_of,
    without_file_references,
)
from common.providers.model_runner_transcript import MAX_ANSWER_BYTES, Transcript

FOOTER = "\n\nToken usage: 5 prompt + 7 completion = 12 total\n"


def user(text: str) -> Message:
    return Message(role="user", content=text)


def told(output: bytes, model: str = "ai/smollm2", *, pieces: int = 10_000) -> tuple[str, Usage | None]:
    transcript = Transcript(model)
    said = "".join(transcript.feed(output[at : at + pieces]) for at in range(0, len(output), pieces))
    rest, usage = transcript.end()
    return said + rest, usage


def test_a_question_alone_is_the_prompt() -> None:
    assert flattened([user("Why is the sky blue?")]) == "Why is the sky blue?"


def test_turns_are_labelled_and_the_last_label_asks_for_the_answer() -> None:
    conversation = [
        Message(role="system", content="Be brief."),
        user("Why is the sky blue?"),
        Message(role="assistant", content="Scattering."),
        user("And red at dusk?"),
    ]
    assert flattened(conversation) == (
        "System: Be brief.\n\nUser: Why is the sky blue?\n\nAssistant: Scattering."
        "\n\nUser: And red at dusk?\n\nAssistant:"
    )


@pytest.mark.parametrize(
    "turn",
    [
        Message(role="tool", content="22 °C", tool_call_id="1"),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="weather", arguments="{}"),)),
    ],
)
def test_a_conversation_with_tools_cannot_be_said_in_one_text(turn: Message) -> None:
    with pytest.raises(Unsupported, match="tools"):
        flattened([user("How warm is it?"), turn])


@pytest.mark.parametrize("messages", [[], [user("")], [user(" \n")]])
def test_an_empty_prompt_is_refused_since_the_command_would_wait_for_typing(messages: list[Message]) -> None:
    with pytest.raises(UpstreamRejected):
        prompt_of(messages)


def test_a_prompt_past_all_measure_is_too_long() -> None:
    assert len(prompt_of([user("a" * MAX_PROMPT_BYTES)])) == MAX_PROMPT_BYTES
    with pytest.raises(ContextTooLong):
        prompt_of([user("a" * (MAX_PROMPT_BYTES + 1))])


def test_a_prompt_is_utf_8_whatever_the_message_holds() -> None:
    assert prompt_of([user("sch\u00f6n \ud800 \x00 \U0001f600")]).decode() == "sch\u00f6n \ufffd \ufffd \U0001f600"


@pytest.mark.parametrize(
    ("prompt", "broken"),
    [
        ("Sum up @/etc/passwd", f"Sum up @{JOINER}/etc/passwd"),
        ("@./a and @../../b and @~/c", f"@{JOINER}./a and @{JOINER}../../b and @{JOINER}~/c"),
        ("@\"/etc/a b\" @'/etc/c d'", f"@{JOINER}\"/etc/a b\" @{JOINER}'/etc/c d'"),
        ("@C:/secret @\\\\host\\share", f"@{JOINER}C:/secret @{JOINER}\\\\host\\share"),
        ("What is on /home/me/my photo.PNG?", f"What is on /home/me/my photo.{JOINER}PNG?"),
        ("/a.png\u00e9 and b.webp", f"/a.{JOINER}png\u00e9 and b.{JOINER}webp"),
    ],
)
def test_what_names_a_file_to_the_command_names_none_any_more(prompt: str, broken: str) -> None:
    assert without_file_references(prompt) == broken


@pytest.mark.parametrize(
    "prompt",
    [
        "Write to me@example.com",
        "@dataclass\nclass A: ...",
        "npm install @types/node",
        "Is photo.png a good name?",
        "either/or",
    ],
)
def test_prose_and_code_stay_as_they_are(prompt: str) -> None:
    assert without_file_references(prompt) == prompt


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("output", "answer", "usage"),
    [
        ("Two rivers met.\n", "Two rivers met.", None),
        ("Two rivers met.\n\n", "Two rivers met.\n", None),
        ("Two rivers met.", "Two rivers met.", None),
        (
            "Two rivers met." + FOOTER,
            "Two rivers met.",
            Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12),
        ),
        ("A\n\nToken usage: is a term.\n\nB\n", "A\n\nToken usage: is a term.\n\nB", None),
        ("\x1b[1mBold\x1b[0m caf\u00e9 \U0001f389\n", "Bold caf\u00e9 \U0001f389", None),
        ("Thinking:\nHm.\n\n--\n\nThey met.\n", "They met.", None),
        ("Thinking of rivers.\n", "Thinking of rivers.", None),
        ("Unable to find a river.\n", "Unable to find a river.", None),
        ("Unable to find model 'other' locally\n", "Unable to find model 'other' locally", None),
        ("Thinking:\nwithout an end\n", "Thinking:\nwithout an end", None),
        ("U\n", "U", None),
        ("\n", "", None),
        ("", "", None),
    ],
)
def test_the_answer_is_found_in_the_output_however_it_is_cut(
    output: str, answer: str, usage: Usage | None, pieces: int
) -> None:
    assert told(output.encode(), pieces=pieces) == (answer, usage)


def test_an_answer_is_told_while_it_is_being_made() -> None:
    transcript = Transcript("ai/smollm2")
    assert [transcript.feed(piece) for piece in (b"Two", b" rivers", b"\n\n", b"met")] == [
        "Two",
        " rivers",
        "",
        "\n\nmet",
    ]


@pytest.mark.parametrize("pieces", [1, 10_000])
def test_a_download_that_nobody_asked_for_is_a_missing_model(pieces: int) -> None:
    with pytest.raises(UpstreamModelMissing, match="ultra models pull phi3:mini"):
        told(b"Unable to find model 'phi3:mini' locally. Pulling from the server.\n", "phi3:mini", pieces=pieces)


@pytest.mark.parametrize("output", [b"Two \xff rivers", b"Two rivers \xf0\x9f"])
def test_output_that_is_no_text_is_no_answer(output: bytes) -> None:
    with pytest.raises(BadUpstream, match="UTF-8"):
        told(output)


def test_an_answer_has_an_end() -> None:
    with pytest.raises(BadUpstream, match="more than"):
        told(b"a" * (MAX_ANSWER_BYTES + 1))


@given(text=st.text(alphabet="a\x1b[]m0;\x07\\ \u00e9"), cuts=st.lists(st.integers(1, 4)))
def test_escape_sequences_are_taken_out_however_the_text_is_cut(text: str, cuts: list[int]) -> None:
    escapes, said, rest = EscapeFilter(), "", text
    for cut in cuts:
        said += escapes.feed(rest[:cut])
        rest = rest[cut:]
    said += escapes.feed(rest) + escapes.end()
    assert said == without_escapes(text)
    assert "\x1b" not in said


PLUGINLESS = "docker: unknown command: docker model\n\nRun 'docker --help' for more information\n"


@pytest.mark.parametrize(
    ("said", "error", "advice"),
    [
        (PLUGINLESS, NotServed, "docker-model-plugin"),
        ("docker: 'model' is not a docker command.\nSee 'docker --help'\n", NotServed, "docker-model-plugin"),
        ("unknown flag: --json\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n", NotServed, "docker-model-plugin"),
        ("unknown flag: --json\n\nUsage:  docker model list [OPTIONS]\n", NotServed, "too old"),
        ("Docker Model Runner is not running. Please start it", Unavailable, "docker desktop enable model-runner"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", Unavailable, "install-runner"),
        ('Get "http://localhost:12434/models": dial tcp: connect: connection refused', Unavailable, "install-runner"),
        ("Failed to get model phi3: phi3: model not found\n", UpstreamModelMissing, "ultra models pull phi3"),
        (
            "Failed to generate a response: error response: status=404 body={}",
            UpstreamModelMissing,
            "ultra models pull",
        ),
        ("error response: status=400 body=the request exceeds the context size", ContextTooLong, "context size"),
        ("error response: status=400 body=bad", UpstreamRejected, "status=400"),
        ("error response: status=401 body=", UpstreamDenied, "401"),
        ("error response: status=429 body=", RateLimited, "429"),
        ("error response: status=503 body=", Unavailable, "503"),
        ("Failed to generate a response: error reading response stream: unexpected EOF", BadUpstream, "broke off"),
        ("\x1b[31mSomething else\x1b[0m", Unavailable, "failed: Something else"),
        ("", Unavailable, "code 1"),
    ],
)
def test_a_complaint_has_its_error_and_says_what_to_do(said: str, error: type[AppError], advice: str) -> None:
    found = complaint(Ended(1, said), "phi3")
    assert type(found) is error
    assert advice in found.message


def test_a_complaint_is_bounded_and_storable() -> None:
    message = complaint(Ended(1, "\x00" + "It is all very difficult. " * 1000)).message
    assert len(message) < 500
    assert "\x00" not in message


def test_the_command_sees_none_of_our_secrets() -> None:
    ours = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "DOCKER_HOST": "tcp://docker:2375",
        "OPENAI_API_KEY": "sk-1",
        "HF_TOKEN": "hf",
        "DATABASE_URL": "postgresql://u:p@db/ultra",
        "pgpassword": "p",
    }
    assert without_secrets(ours) == {"PATH": "/bin", "HOME": "/home/me", "DOCKER_HOST": "tcp://docker:2375"}

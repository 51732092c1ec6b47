"""LangChain, with its package for OpenAI. It lists no models."""

import sys

import openai
from facts import BREAKING, HELLO, MODEL, NOBODY, WEATHER, tell, weather
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


def model(name: str) -> ChatOpenAI:
    is_responses = sys.argv[2] == "responses"
    return ChatOpenAI(model=name, base_url=sys.argv[1], api_key="none", max_retries=0, use_responses_api=is_responses)


tell("said", model(MODEL).invoke(HELLO).text)

tell("streamed", [chunk.text for chunk in model(MODEL).stream(HELLO)])

tools = {"weather": tool(weather)}
armed = model(MODEL).bind_tools(list(tools.values()))
calling = armed.invoke(WEATHER)
results = [tools[call["name"]].invoke(call) for call in calling.tool_calls]
tell("concluded", armed.invoke([("user", WEATHER), calling, *results]).text)

try:
    model(NOBODY).invoke(HELLO)
except openai.APIError as error:
    tell("refused", [type(error).__name__, str(error)])

try:
    for chunk in model(BREAKING).stream(HELLO):
        tell("heard", chunk.text)
    tell("ended", "as if it were whole")
except openai.APIError as error:
    tell("broke", [type(error).__name__, str(error)])

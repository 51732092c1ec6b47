// Vercel's AI SDK, with its providers for three interfaces. It lists no models.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { BREAKING, HELLO, MODEL, NOBODY, TOOL, WEATHER, tell, weatherOf } from "./facts.mjs";

const [baseURL, spoken] = process.argv.slice(2);
const providers = { chat: createOpenAICompatible, responses: createOpenAI, messages: createAnthropic };
const gateway = providers[spoken]({ name: "gateway", baseURL, apiKey: "none" });
const asking = (model, messages = HELLO) => ({ model: gateway(model), messages, maxRetries: 0 });

tell("said", (await generateText(asking(MODEL))).text);

const pieces = [];
for await (const piece of streamText(asking(MODEL)).textStream) pieces.push(piece);
tell("streamed", pieces);

const answer = streamText({
  ...asking(MODEL, WEATHER),
  tools: {
    [TOOL.name]: tool({
      description: TOOL.description,
      inputSchema: jsonSchema(TOOL.parameters),
      execute: weatherOf,
    }),
  },
  stopWhen: isStepCount(2),
});
tell("concluded", await answer.text);

await generateText(asking(NOBODY)).catch((error) => tell("refused", [error.name, error.message]));

// It tells of an error as a part of the stream, and then throws because the response has no end.
try {
  for await (const part of streamText({ ...asking(BREAKING), onError: () => {} }).stream) {
    if (part.type === "text-delta") tell("heard", part.text);
    if (part.type === "error") tell("broke", [part.error.name, part.error.message]);
    if (part.type === "finish") tell("ended", part.finishReason);
  }
  tell("ended", "as if it were whole");
} catch (error) {
  tell("broke", [error.name, error.message]);
}

// OpenAI's own client for JavaScript.
import OpenAI from "openai";
import { BREAKING, HELLO, MODEL, NOBODY, TOOL, WEATHER, tell, weatherOf } from "./facts.mjs";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const ask = (more) => client.chat.completions.create({ model: MODEL, messages: HELLO, ...more });

const listed = [];
for await (const model of client.models.list()) listed.push(model.id);
tell("listed", listed);

tell("said", (await ask()).choices[0].message.content);

const pieces = [];
for await (const chunk of await ask({ stream: true })) pieces.push(chunk.choices[0]?.delta.content ?? "");
tell("streamed", pieces);

const runner = client.chat.completions.runTools({
  model: MODEL,
  messages: WEATHER,
  stream: true,
  tools: [
    {
      type: "function",
      function: {
        name: TOOL.name,
        description: TOOL.description,
        parameters: TOOL.parameters,
        parse: JSON.parse,
        function: weatherOf,
      },
    },
  ],
});
tell("concluded", await runner.finalContent());

await ask({ model: NOBODY }).catch((error) => tell("refused", [error.constructor.name, error.message]));

try {
  for await (const chunk of await ask({ model: BREAKING, stream: true })) {
    tell("heard", chunk.choices[0].delta.content);
  }
  tell("ended", "as if it were whole");
} catch (error) {
  tell("broke", [error.constructor.name, error.message]);
}

// What the clients here ask for, and how they tell the test what they met: a line of JSON for each fact.
export const MODEL = "scripted-capable";
export const BREAKING = "scripted-breaking";
export const NOBODY = "nobody";

export const HELLO = [{ role: "user", content: "Tell me a story." }];
export const WEATHER = [{ role: "user", content: "What is the weather?" }];

export const TOOL = {
  name: "weather",
  description: "The weather of a town.",
  parameters: { type: "object", properties: { town: { type: "string" } }, required: ["town"] },
};

export const tell = (name, fact) => console.log(JSON.stringify([name, fact]));

export const weatherOf = ({ town }) => {
  tell("called", { town });
  return "Rain.";
};

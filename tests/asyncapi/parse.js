// Prints what the official parser finds wrong with the document on standard input, and what it understands.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const withoutMarks = (key, value) => (key.startsWith("x-parser-") ? undefined : value);
const messageOf = (message) => ({
  name: message.name(),
  content_type: message.contentType(),
  frames: message.json("x-websocket-mode"),
  payload: message.payload()?.json(),
});

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const operations = document?.operations().all().map((operation) => ({
  id: operation.id(),
  action: operation.action(),
  addresses: operation.channels().all().map((channel) => channel.address()),
  messages: operation.messages().all().map(messageOf),
  replies: operation.reply()?.messages().all().map(messageOf) ?? [],
}));
console.log(JSON.stringify({ version: document?.version(), diagnostics, operations }, withoutMarks));

// Who may ask, and who asks: a request with a known `x-api-key` goes on as its consumer's, every other
// is answered 401. Settings: `{"keys":{"KEY":"CONSUMER"}}`.

import type { Filtering } from "jackfield:plugin/filtering@0.1.0";
import request from "jackfield:plugin/request@0.1.0";
import requestEdit from "jackfield:plugin/request-edit@0.1.0";

const ANSWER = Uint8Array.from("a valid x-api-key is needed\n", (char) => char.charCodeAt(0));
let consumers = new Map<string, string>();

/** From a key to its consumer, or null when these settings are no such thing. */
function parse(settings: string): Map<string, string> | null {
  const { keys, ...others } = JSON.parse(settings) as Record<string, unknown>;
  if (typeof keys !== "object" || keys === null || Array.isArray(keys)) return null;
  const isText = (entry: [string, unknown]): entry is [string, string] => typeof entry[1] === "string";
  const entries: [string, unknown][] = Object.entries(keys);
  if (entries.length === 0 || !entries.every(isText) || Object.keys(others).length > 0) return null;
  return new Map(entries);
}

export const filtering: Filtering = {
  configure(settings) {
    const known = parse(settings);
    if (known === null) throw 'api-key needs {"keys": {"KEY": "CONSUMER"}}';
    consumers = known;
    return { request: true, response: false };
  },

  onRequest() {
    requestEdit.removeHeader("x-consumer"); // it is ours to say
    const key = request.header("x-api-key");
    const consumer = key === null ? undefined : consumers.get(key);
    if (consumer === undefined) {
      requestEdit.answer(401, [["www-authenticate", "ApiKey"], ["content-type", "text/plain"]], ANSWER);
      return;
    }
    requestEdit.setHeader("x-consumer", consumer);
    requestEdit.removeHeader("x-api-key");
  },

  onResponse() {},
};

// Who may ask, and who asks: a request with a known `x-api-key` goes on as its consumer's, every other
// is answered 401. Settings: `{"keys":{"KEY":"CONSUMER"}}`.

import request from "jackfield:plugin/request@0.1.0";
import requestEdit from "jackfield:plugin/request-edit@0.1.0";

const ANSWER = Uint8Array.from("a valid x-api-key is needed\n", (char) => char.charCodeAt(0));
let consumers;

/** From a key to its consumer, or null when these settings are no such thing. */
function read(settings) {
  const { keys, ...others } = JSON.parse(settings);
  if (typeof keys !== "object" || keys === null || Array.isArray(keys)) return null;
  const known = new Map(Object.entries(keys));
  const allText = [...known.values()].every((consumer) => typeof consumer === "string");
  return known.size > 0 && allText && Object.keys(others).length === 0 ? known : null;
}

export const filtering = {
  configure(settings) {
    consumers = read(settings);
    if (consumers === null) throw 'api-key needs {"keys": {"KEY": "CONSUMER"}}';
    return { request: true, response: false };
  },

  onRequest() {
    requestEdit.removeHeader("x-consumer"); // it is ours to say
    const consumer = consumers.get(request.header("x-api-key"));
    if (consumer === undefined) {
      requestEdit.answer(401, [["www-authenticate", "ApiKey"], ["content-type", "text/plain"]], ANSWER);
      return;
    }
    requestEdit.setHeader("x-consumer", consumer);
    requestEdit.removeHeader("x-api-key");
  },

  onResponse() {},
};

// Every response says in `x-served-by` who passed it on: `{"value": "TEXT"}`.

import type { Filtering } from "jackfield:plugin/filtering@0.1.0";
import preparedEdits from "jackfield:plugin/prepared-edits@0.1.0";
import response from "jackfield:plugin/response@0.1.0";

let edits = 0; // the number of what was prepared

function prepare(settings: string): number {
  const { value = "jackfield", ...unknown } = JSON.parse(settings) as Record<string, unknown>;
  if (typeof value !== "string" || Object.keys(unknown).length > 0) throw settings;
  return preparedEdits.prepare([{ name: "x-served-by", action: { tag: "set", val: { tag: "text", val: value } } }]);
}

export const filtering: Filtering = {
  configure(settings) {
    try {
      edits = prepare(settings);
    } catch {
      throw '{{name}} has one setting: {"value": "TEXT"}';
    }
    return { request: false, response: true };
  },

  onRequest(context) {},

  onResponse(context) {
    response.apply(edits);
  },
};

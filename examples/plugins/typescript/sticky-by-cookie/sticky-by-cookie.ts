// A client comes back to the endpoint that served it first, by a cookie that the settings name:
// `{"cookie":"route"}`. The first choice is the wrapped balancer's (`then`), or without one they take turns.

import type { Balancing, EndpointState } from "jackfield:plugin/balancing@0.1.0";
import delegate from "jackfield:plugin/delegate@0.1.0";
import endpoints from "jackfield:plugin/endpoints@0.1.0";
import reply from "jackfield:plugin/reply@0.1.0";
import request from "jackfield:plugin/request@0.1.0";

const NONE = -1; // 0xffff_ffff: QuickJS has the larger half of a u32 as negative numbers
let cookie = "";
let keys: string[] = [];
let states: EndpointState[] = [];
let turn = 0;

/** What a cookie says of an endpoint: FNV-1a of its address (ASCII), in eight digits. */
function keyOf(address: string): string {
  let hash = 0x811c9dc5;
  for (const char of address) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

function parse(settings: string): string | null {
  const { cookie, ...others } = JSON.parse(settings) as Record<string, unknown>;
  const isName = typeof cookie === "string" && /^[\w-]+$/.test(cookie);
  return isName && Object.keys(others).length === 0 ? cookie : null;
}

/** The endpoint that the cookie names, if it may still have it: a draining one may, to finish the session. */
function kept(): number {
  const key = request.cookie(cookie);
  const endpoint = key === null ? -1 : keys.indexOf(key);
  return endpoint >= 0 && states[endpoint] !== "unhealthy" && endpoints.candidate(endpoint) ? endpoint : NONE;
}

function first(): number {
  const chosen = delegate.pick();
  if (chosen !== NONE) return chosen;
  const eligible = [...keys.keys()].filter((endpoint) => endpoints.eligible(endpoint));
  return eligible[turn++ % eligible.length] ?? NONE;
}

function leaveCookie(endpoint: number) {
  try {
    reply.appendHeader("set-cookie", `${cookie}=${keys[endpoint]}; Path=/; HttpOnly; SameSite=Lax`);
  } catch {
    // At L4 there is no response to leave it in.
  }
}

export const balancing: Balancing = {
  configure(settings) {
    const name = parse(settings);
    if (name === null) throw 'sticky-by-cookie needs {"cookie": "NAME"}';
    cookie = name;
  },

  update(set) {
    keys = set.addresses.map(keyOf);
    states = set.states;
  },

  pick() {
    const again = kept();
    if (again !== NONE) return again;
    const chosen = first();
    if (chosen !== NONE) leaveCookie(chosen);
    return chosen;
  },
};

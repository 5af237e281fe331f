// A request with the header `x-canary` goes to the endpoints that are labelled `canary`, every other
// to the rest. Among them the wrapped balancer chooses (`then`), or without one they take turns.

import delegate from "jackfield:plugin/delegate@0.1.0";
import endpoints from "jackfield:plugin/endpoints@0.1.0";
import request from "jackfield:plugin/request@0.1.0";

const NONE = -1; // 0xffff_ffff: QuickJS has the larger half of a u32 as negative numbers
let canaries = [];
let others = [];
let turn = 0;

function choose(group) {
  const chosen = delegate.pickAmong(group);
  if (chosen !== NONE) return chosen;
  const eligible = group.filter((endpoint) => endpoints.eligible(endpoint));
  return eligible.length === 0 ? NONE : eligible[turn++ % eligible.length];
}

export const balancing = {
  configure(settings) {
    if (settings !== "{}") throw "canary-by-header has no settings";
  },

  update({ labels }) {
    const isCanary = (position) => labels[position].some(([name]) => name === "canary");
    const positions = [...labels.keys()];
    canaries = positions.filter(isCanary);
    others = positions.filter((position) => !isCanary(position));
  },

  pick(context) {
    const [wanted, rest] = request.header("x-canary") === null ? [others, canaries] : [canaries, others];
    const chosen = choose(wanted);
    return chosen === NONE ? choose(rest) : chosen;
  },
};

// A request with the header `x-canary` goes to the endpoints that are labelled `canary`, every other
// to the rest. Among them the wrapped balancer chooses (`then`), or without one they take turns.

import type { Balancing } from "jackfield:plugin/balancing@0.1.0";
import delegate from "jackfield:plugin/delegate@0.1.0";
import endpoints from "jackfield:plugin/endpoints@0.1.0";
import request from "jackfield:plugin/request@0.1.0";

const NONE = -1; // 0xffff_ffff: QuickJS has the larger half of a u32 as negative numbers
let canaries: number[] = [];
let others: number[] = [];
let turn = 0;

function choose(group: number[]): number {
  const chosen = delegate.pickAmong(group);
  if (chosen !== NONE) return chosen;
  const eligible = group.filter((endpoint) => endpoints.eligible(endpoint));
  return eligible[turn++ % eligible.length] ?? NONE;
}

export const balancing: Balancing = {
  configure(settings) {
    if (settings !== "{}") throw "canary-by-header has no settings";
  },

  update({ labels }) {
    canaries = [];
    others = [];
    labels.forEach((of, position) => {
      const isCanary = of.some(([name]) => name === "canary");
      (isCanary ? canaries : others).push(position);
    });
  },

  pick() {
    const isCanary = request.header("x-canary") !== null;
    const chosen = choose(isCanary ? canaries : others);
    return chosen === NONE ? choose(isCanary ? others : canaries) : chosen;
  },
};

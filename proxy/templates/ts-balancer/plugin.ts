// Endpoints take turns, at first those with a label: `{"prefer": "LABEL"}`.

import type { Balancing } from "jackfield:plugin/balancing@0.1.0";
import endpoints from "jackfield:plugin/endpoints@0.1.0";

const NONE = -1; // 0xffff_ffff
let prefer: string | null = null;
let preferred: number[] = [];
let others: number[] = [];
let turn = 0;

function inTurn(group: number[]): number {
  const eligible = group.filter((endpoint) => endpoints.eligible(endpoint));
  const chosen = eligible[turn % eligible.length];
  if (chosen === undefined) return NONE;
  turn++;
  return chosen;
}

export const balancing: Balancing = {
  configure(settings) {
    const { prefer: label = null, ...unknown } = JSON.parse(settings) as Record<string, unknown>;
    if ((label !== null && typeof label !== "string") || Object.keys(unknown).length > 0)
      throw '{{name}} has one setting: {"prefer": "LABEL"}';
    prefer = label;
  },

  update({ labels }) {
    preferred = [];
    others = [];
    labels.forEach((of, position) => {
      const isPreferred = of.some(([label]) => label === prefer);
      (isPreferred ? preferred : others).push(position);
    });
  },

  pick(context) {
    const chosen = inTurn(preferred);
    return chosen === NONE ? inTurn(others) : chosen;
  },
};

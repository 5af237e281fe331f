// Endpoints take turns, at first those with a label: `{"prefer": "LABEL"}`.

import endpoints from "jackfield:plugin/endpoints@0.1.0";

const NONE = -1; // 0xffff_ffff
let prefer;
let preferred = [];
let others = [];
let turn = 0;

function inTurn(group) {
  const eligible = group.filter((endpoint) => endpoints.eligible(endpoint));
  return eligible.length === 0 ? NONE : eligible[turn++ % eligible.length];
}

export const balancing = {
  configure(settings) {
    const { prefer: label, ...unknown } = JSON.parse(settings);
    if (!["string", "undefined"].includes(typeof label) || Object.keys(unknown).length > 0)
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

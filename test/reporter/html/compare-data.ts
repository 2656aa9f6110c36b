import type { ComparedMethod, ComparePageData } from "../../../src/reporter/html/compare-page.ts";
import { seededRandom } from "../lib/random.ts";
import { START_MS } from "../lib/simulate.ts";

const random = seededRandom(3);
const samplesAround = (ms: number, amount = 15): ComparedMethod["samples"] =>
  Array.from({ length: amount }, () => ({ wallMs: ms * (0.93 + 0.2 * random() ** 2), exitCode: 0 }));

function methods(roundTripMs: number): readonly ComparedMethod[] {
  return [
    {
      label: "volley bundle",
      command: "volley run site.ts",
      version: "0.1.0",
      samples: samplesAround(900 + 6 * roundTripMs),
      phasesMs: {
        build: 40,
        connect: 60,
        authenticate: 50,
        start: 120,
        facts: 40,
        tasks: 480,
        wait: 5,
        collect: 9,
      },
      bytes: { sent: 42_000, received: 71_000 },
      roundTrips: 9,
      ratios: [
        { baseline: "Ansible, pipelining", median: 0.11, low: 0.1, high: 0.13, means: false },
        { baseline: "volley direct", median: 0.5, low: 0.46, high: 0.55, means: false },
      ],
    },
    {
      label: "volley direct",
      command: "volley run site.ts --method direct",
      samples: [...samplesAround(1_800 + 90 * roundTripMs), { wallMs: 300, exitCode: 2 }],
      phasesMs: { connect: 60, authenticate: 50, facts: 90, tasks: 1_500 },
      bytes: { sent: 160_000, received: 230_000 },
      roundTrips: 310,
      ratios: [{ baseline: "Ansible, pipelining", median: 1.02, low: 0.95, high: 1.1, means: true }],
    },
    { label: "Ansible, pipelining", version: "2.19.1", samples: samplesAround(8_100 + 300 * roundTripMs) },
    { label: "pyinfra", samples: [], missing: "not installed" },
  ];
}

/** An example of a comparison's data. */
export const COMPARE_DATA: ComparePageData = {
  title: "site.ts on 3 hosts, compared",
  playbook: "site.ts",
  hosts: ["web1", "web2", "web3"],
  startedAtMs: START_MS,
  notes: [
    "15 runs of each method in an order that was shuffled anew for each round; nothing was to be changed.",
  ],
  environment: [
    ["Processor", "2 cores"],
    ["Node", "20.19.0"],
  ],
  confidence: 0.95,
  groups: [
    { label: "no delay added", roundTripMs: 0, methods: methods(0) },
    { label: "50 ms round trip", roundTripMs: 50, methods: methods(50) },
  ],
  slopes: [
    {
      method: "volley bundle",
      condition: "warm caches",
      roundTrips: 6.04,
      interval: { low: 5.81, high: 6.27 },
    },
    { method: "volley direct", condition: "warm caches", roundTrips: 90.26 },
  ],
};

const PHASES_MS: NonNullable<ComparedMethod["phasesMs"]> = {
  build: 1_234.5,
  connect: 1_260.5,
  authenticate: 1_250.5,
  upload: 2_140.5,
  start: 1_120.5,
  facts: 1_340.5,
  tasks: 14_480.5,
  wait: 1_005.5,
  collect: 1_009.5,
};
const PLAYBOOK = "ansible-playbook -i {inventory} --forks 50 playbooks/site.yml --diff --limit webservers";

/** The most a comparison of ours has: cold and warm caches at two distances, three methods, one with a long name. */
export const WIDE_COMPARE_DATA: ComparePageData = {
  ...COMPARE_DATA,
  groups: ["cold", "warm"].flatMap((cache) =>
    [0, 50].map((roundTripMs) => ({
      label: `${cache} caches, ${roundTripMs === 0 ? "no delay added" : `${roundTripMs} ms round trip added`}`,
      roundTripMs,
      methods: ["bundle", "direct", PLAYBOOK].map(
        (label, index): ComparedMethod => ({
          label,
          command: label === PLAYBOOK ? PLAYBOOK : `volley run site.ts --via ${label}`,
          samples: samplesAround(14_000 * (index + 1) + 90 * roundTripMs),
          phasesMs: PHASES_MS,
          bytes: { sent: 104_200_000, received: 107_100_000 },
          roundTrips: 1_310,
          ...(index === 0
            ? {}
            : { ratios: [{ baseline: "bundle", median: 12.41, low: 10.93, high: 14.52, means: false }] }),
        }),
      ),
    })),
  ),
  slopes: ["bundle", "direct", PLAYBOOK].flatMap((method) =>
    ["cold caches", "warm caches"].map((condition) => ({
      method,
      condition,
      roundTrips: 1_310.26,
      interval: { low: 1_290.4, high: 1_322.8 },
    })),
  ),
};

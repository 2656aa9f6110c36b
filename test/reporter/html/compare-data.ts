import type { ComparedMethod, ComparePageData } from "../../../src/reporter/html/compare-page-data.ts";
import { seededRandom } from "../fixtures/random.ts";
import { START_MS } from "../fixtures/simulate.ts";

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

/** What a comparison may come to. */
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
};

import type { Comparison, Sample } from "../../../src/compare/comparison.ts";

/** A sample of a method, with what a test says of it. */
export function sample(method: string, round: number, wallMs: number, rest: Partial<Sample> = {}): Sample {
  return {
    method,
    round,
    wallMs,
    cache: "warm",
    roundTripMs: 0,
    controllerCpuMs: wallMs / 2,
    remoteCpuMs: undefined,
    sentBytes: 1_000,
    receivedBytes: 2_000,
    flights: 5,
    phasesMs: { build: 10, tasks: wallMs / 4 },
    hosts: [],
    run: undefined,
    ...rest,
  };
}

/** A comparison of bundle and direct with these samples. */
export function comparison(samples: readonly Sample[], rest: Partial<Comparison> = {}): Comparison {
  return {
    playbook: "site.ts",
    hosts: ["web1", "web2"],
    startedAtMs: Date.UTC(2026, 10, 22),
    elapsedMs: 60_000,
    methods: [
      { kind: "volley", name: "bundle", via: "bundle" },
      { kind: "volley", name: "direct", via: "direct" },
    ],
    conditions: [{ cache: "warm", roundTripMs: 0 }],
    runs: samples.length,
    warmUps: 1,
    roundTrips: [{ addedMs: 0, measuredMs: 0.2 }],
    remoteCpu: "none",
    samples,
    notes: [],
    cancelled: false,
    ...rest,
  };
}

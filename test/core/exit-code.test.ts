import { expect, test } from "vitest";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { HostSummary, Outcome } from "../../src/core/events.ts";
import { exitCodeOf } from "../../src/core/summary.ts";

type Ended = readonly [outcome: Outcome, code?: ErrorCode, started?: boolean];

function exitCode(...ended: readonly Ended[]): number {
  const outcomes: Record<Outcome, number> = { ok: 0, failed: 0, unreachable: 0, lost: 0, cancelled: 0 };
  for (const [outcome] of ended) outcomes[outcome]++;
  const hosts = ended.map(
    ([, code, started = false]): Pick<HostSummary, "phases" | "error"> => ({
      phases: started ? { start: 1 } : {},
      ...(code === undefined ? {} : { error: { code, message: "" } }),
    }),
  );
  return exitCodeOf(outcomes, hosts);
}

const cases: readonly (readonly [number, string, readonly Ended[]])[] = [
  [0, "all ok", [["ok"], ["ok"]]],
  [0, "no hosts", []],
  [2, "one failed", [["ok"], ["failed"]]],
  [4, "one unreachable, one failed", [["unreachable", "CONNECT_FAILED"], ["failed"]]],
  [
    4,
    "all unreachable over the network",
    [
      ["unreachable", "CONNECT_FAILED"],
      ["unreachable", "CONNECT_FAILED"],
    ],
  ],
  [4, "one lost", [["lost", "CONNECTION_LOST", true], ["ok"]]],
  [130, "one cancelled", [["cancelled"], ["failed"], ["unreachable", "AUTH_FAILED"]]],
  [
    1,
    "no key accepted anywhere",
    [
      ["unreachable", "AUTH_FAILED"],
      ["unreachable", "AUTH_FAILED"],
    ],
  ],
  [
    1,
    "different set-up faults",
    [
      ["unreachable", "HOST_KEY_UNKNOWN"],
      ["failed", "NODE_MISSING"],
      ["failed", "UPLOAD_FAILED"],
      ["failed", "BECOME_FAILED"],
    ],
  ],
  [
    4,
    "set-up faults but one that cannot be reached",
    [
      ["unreachable", "AUTH_FAILED"],
      ["unreachable", "CONNECT_FAILED"],
    ],
  ],
  [4, "set-up faults but one that is well", [["unreachable", "AUTH_FAILED"], ["ok"]]],
  [2, "a host without Node, and one that is well", [["failed", "NODE_MISSING"], ["ok"]]],
  [4, "a broken protocol amid the run", [["lost", "PROTOCOL_INVALID", true]]],
];

test.each(cases)("%i: %s", (code, _what, ended) => {
  expect(exitCode(...ended)).toBe(code);
});

import type { Event } from "../../../src/core/events.ts";
import { HOSTILE, stamp } from "../lib/play.ts";
import { summaryOf } from "../lib/simulate.ts";

/** Text that tries whatever a page may be tricked with. */
export const HOSTILE_MARKUP = `<script>window.pwned=1</script>"><img src=x onerror="window.pwned=1">'-->]]></textarea></style></title>&lt;\u2028`;

const TRAP = `${HOSTILE_MARKUP}${HOSTILE}`;

/** A run in which everything that a host, an inventory or a playbook names is hostile. */
export function hostileRun(): readonly Event[] {
  const hosts = [`a${TRAP}`, "__proto__"];
  const events = stamp([
    {
      type: "run:start",
      run: TRAP,
      playbook: TRAP,
      hosts,
      plays: [{ name: TRAP, hosts }],
      check: false,
      concurrency: 2,
    },
    ...hosts.flatMap((host) => {
      const ref = { task: 1, play: TRAP, role: TRAP, name: TRAP, action: TRAP };
      const diff = [
        {
          path: TRAP,
          before: `${TRAP}\n`,
          after: `${TRAP}\nmore`,
          attributes: { [TRAP]: [TRAP, TRAP] as const },
        },
      ];
      const error = { code: "ACTION_FAILED", message: TRAP, hint: TRAP, location: { file: TRAP } } as const;
      const tally = {
        unchanged: 0,
        changed: 1,
        skipped: 0,
        failed: 1,
        ignored: 0,
        rescued: 0,
        notExecuted: 0,
      };
      return [
        { type: "host:connect", host, address: TRAP, port: 22, user: TRAP },
        { type: "host:connected", host, elapsedMs: 1 },
        { type: "host:start", host },
        { type: "log", host, level: "warn", text: TRAP },
        { type: "facts", host, elapsedMs: 1, facts: {} },
        { type: "task:start", host, ...ref },
        { type: "task:end", host, ...ref, result: { state: "changed", diff }, elapsedMs: 1 },
        { type: "task:start", host, ...ref, task: 2 },
        { type: "task:output", host, task: 2, stream: "stdout", text: `${TRAP}\n${TRAP}` },
        {
          type: "task:end",
          host,
          ...ref,
          task: 2,
          result: { state: "failed", error, diff, items: [{ label: TRAP, state: "failed", message: TRAP }] },
          elapsedMs: 1,
        },
        { type: "host:lost", host, reason: TRAP },
        {
          type: "host:end",
          host,
          outcome: "failed",
          tally,
          elapsedMs: 9,
          phases: { tasks: 2 },
          uploadedBytes: 1,
          error,
        },
      ] as const;
    }),
  ]);
  const last = events.at(-1);
  return [
    ...events,
    { type: "run:end", summary: summaryOf(events), seq: events.length + 1, time: last?.time ?? 0 },
  ];
}

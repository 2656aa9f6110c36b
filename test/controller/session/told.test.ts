import { expect, test } from "vitest";
import { type EarlierPart, readEarlier } from "../../../src/controller/session/told.ts";
import type { Event, ReceivedEvent } from "../../../src/core/events.ts";

const ref = { task: 3, play: "p", role: "r", name: "Restart", action: "reboot" };

/** A run's log of one host. */
function log(events: readonly object[]): readonly Event[] {
  return events.map((event, index) => {
    const received = { ...event, host: "web1", hostSeq: index + 2 } as unknown as ReceivedEvent;
    return { ...received, seq: index + 1, time: 0 };
  });
}

test("a controller that takes a run over knows of a restart that is not over", () => {
  const begun = [
    { type: "task:start", ...ref },
    { type: "restart", task: 3, timeoutMs: 60_000 },
  ];
  expect(readEarlier(log(begun)).get("web1")?.restart).toMatchObject({ task: 3, timeoutMs: 60_000 });
  const over = [...begun, { type: "task:end", ...ref, result: { state: "changed" }, elapsedMs: 1 }];
  expect(readEarlier(log(over)).get("web1")?.restart).toBeUndefined();
});

test("a controller that takes a run over counts from the last process that began it", () => {
  const waits = { type: "log", level: "warn", text: "waiting" };
  const hello = { type: "hello", protocol: 1, bundle: "b", pid: 1, node: "v20", hostSeq: 1 };
  const told = [hello, { ...waits, hostSeq: 2 }, { ...waits, hostSeq: 3 }];
  expect(partOf(told)).toMatchObject({ lastSequence: 3, isJournaled: false });
  expect(partOf([...told, hello])).toMatchObject({ lastSequence: 0, isJournaled: false });
  const facts = { type: "facts", elapsedMs: 1, facts: {}, hostSeq: 2 };
  expect(partOf([...told, hello, facts])).toMatchObject({ lastSequence: 2, isJournaled: true });
});

function partOf(events: readonly object[]): EarlierPart | undefined {
  const logged = events.map((event, index) => ({ ...event, host: "web1", seq: index + 1, time: 0 }) as Event);
  return readEarlier(logged).get("web1");
}

import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { openViewers } from "../../../src/reporter/web/viewers.ts";

/** A page whose changes since a version name both versions, and are large. */
function growingPage() {
  const state = { page: 1, version: 0 };
  const filler = "x".repeat(10_000);
  return {
    state,
    changes: () => ({ ...state, since: (version: number) => `${version}-${state.version} ${filler}` }),
  };
}

const spans = (stream: PassThrough): readonly string[] =>
  [...String(stream.read() ?? "").matchAll(/data: (\d+-\d+) /g)].map(([, span]) => span as string);

it("a viewer that takes nothing is sent one text, and all that it lacks once it goes on", () => {
  const { state, changes } = growingPage();
  const viewers = openViewers(changes);
  const slow = new PassThrough({ highWaterMark: 1_000 });
  const quick = new PassThrough({ highWaterMark: 10_000_000 });
  viewers.add(slow, 1, 0);
  viewers.add(quick, 1, 0);
  for (state.version = 1; state.version <= 100; state.version++) viewers.bring();
  state.version = 100;
  expect(slow.writableLength + slow.readableLength).toBeLessThan(21_000);
  expect(spans(quick)).toHaveLength(100);
  const first = spans(slow);
  expect(first.length).toBeLessThan(3);
  viewers.bring();
  const [next] = spans(slow);
  const seen = first.at(-1)?.split("-")[1];
  expect(next).toBe(`${seen}-100`);
});

it("the end waits for viewers no longer than it is told to", async () => {
  const { state, changes } = growingPage();
  const viewers = openViewers(changes);
  const stuck = new PassThrough({ highWaterMark: 1 });
  viewers.add(stuck, 1, 0);
  state.version = 1;
  viewers.bring();
  state.version = 2;
  await viewers.close(5);
  expect(viewers.size).toBe(1);
  expect(stuck.writableEnded).toBe(false);
});

it("a viewer that is gone is forgotten", async () => {
  const { changes } = growingPage();
  const viewers = openViewers(changes);
  const gone = new PassThrough();
  viewers.add(gone, 1, 0);
  expect(viewers.size).toBe(1);
  gone.destroy(new Error("reset by peer"));
  await viewers.close(60_000);
  expect(viewers.size).toBe(0);
});

import { expect, test } from "vitest";
import { debug } from "../../src/actions/flow/debug.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { shell } from "../../src/actions/system/command.ts";
import type { ActionCall } from "../../src/core/action.ts";
import { encodeLine, MAX_LINE_BYTES } from "../../src/core/protocol.ts";
import { tellResult } from "../../src/engine/results.ts";
import { runTasks } from "./run-plays.ts";

test("a megabyte of output is cut where it is told, and whole for the role up to its own bound", async () => {
  let length = 0;
  const run = await runTasks(async ({ task }) => {
    const much = await task("much", shell("head -c 1048576 /dev/zero | tr '\\0' x"));
    length = much.data.stdout.length;
  });
  expect(length).toBe(1 << 20);
  const told = (run.task("much").data as { readonly stdout: string }).stdout;
  expect(told.length).toBeLessThan(70_000);
  expect(told).toMatch(/x… \(983040 more characters\)$/);
});

test("what a command prints beyond its bound is dropped, and said to be", async () => {
  const run = await runTasks(
    ({ task }) => void task("more", shell("head -c 3000000 /dev/zero | tr '\\0' x")),
  );
  expect(run.task("more").data).toMatchObject({ rc: 0, truncated: true });
});

test("a long message is cut", async () => {
  const run = await runTasks(({ task }) => void task("t", debug("y".repeat(5 << 20))));
  expect(Buffer.byteLength(encodeLine(run.of("task:end")[0]))).toBeLessThan(MAX_LINE_BYTES);
});

test("a long diff becomes a statement that there is one", () => {
  const diff = [{ path: "/f", before: "a".repeat(100_000), after: "b".repeat(100_000) }];
  expect(tellResult({ state: "changed", diff }, null, true).diff).toEqual([{ path: "/f", binary: true }]);
  expect(tellResult({ state: "changed", diff }, null, false).diff).toBeUndefined();
});

test("data that JSON cannot hold is told of in words", () => {
  const data = { bytes: new Uint8Array(3), large: 12n, list: ["x".repeat(70_000)] };
  const bound = tellResult({ state: "unchanged", data }, null, false).data as {
    readonly list: readonly string[];
  };
  expect(bound).toMatchObject({ bytes: "<3 bytes>", large: "12" });
  expect(bound.list[0]).toMatch(/… \(4464 more characters\)$/);
});

test("many items are cut at a thousand", async () => {
  const loop = Array.from({ length: 1_200 }, (_, index) => index);
  const run = await runTasks(({ task }) => void task("t", (_: number) => noop({ changed: true }), { loop }));
  expect(run.task("t").items).toHaveLength(1_000);
});

test("data that leads back to itself, or is nested beyond all measure, is told of and does not end the run", async () => {
  const cyclic: Record<string, unknown> = { name: "x" };
  cyclic.self = cyclic;
  let deep: unknown = "bottom";
  for (let level = 0; level < 200; level++) deep = [deep];
  const broken = { toJSON: () => fail() };
  const fail = (): never => {
    throw new Error("no JSON of it");
  };
  const giving = (data: unknown): ActionCall => ({
    action: "give",
    params: {},
    title: "",
    inspect: async () => ({}),
    apply: async () => ({ data }),
  });
  const run = await runTasks(async ({ task }) => {
    const given = await task("cyclic", giving(cyclic));
    task("deep", giving(deep));
    task("broken", giving(broken));
    task("loop", (_: unknown) => noop({}), { loop: [{ large: 1n }] });
    task("seen", debug({ msg: String(given.data === cyclic) }));
  });
  expect(run.task("cyclic").data).toEqual({ name: "x", self: "(itself again)" });
  expect(JSON.stringify(run.task("deep").data)).toContain("nested too deep");
  expect(run.task("broken").data).toBe("(cannot be told: Error: no JSON of it)");
  expect(run.task("seen").message).toBe("true");
  expect(run.error).toBeUndefined();
  expect(run.tally).toMatchObject({ failed: 0, changed: 3, unchanged: 2 });
});

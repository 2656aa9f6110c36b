import { afterAll, beforeAll, expect, test } from "vitest";
import { gatherFacts } from "../../src/agent/facts/gather.ts";
import { thisMachine } from "../../src/agent/facts/sources.ts";
import type { Facts } from "../../src/core/facts.ts";
import { askForFacts, gatherDirectFacts } from "../../src/direct/facts.ts";
import { createLocalSystem } from "../../src/system/local/local-system.ts";
import { type DirectHost, startDirectHost } from "./lib/host.ts";

let host: DirectHost;
beforeAll(async () => {
  host = await startDirectHost();
});
afterAll(() => host.stop());

/** Facts that change within a moment, or with the process that asks. */
const MOVING = [
  ...["date_time", "loadavg", "uptime_seconds", "memfree_mb", "memory_mb", "swapfree_mb", "env"],
  ...["mounts", "user_dir", "processor_nproc"],
] as const satisfies readonly (keyof Facts)[];

test("one question gives the facts that the machine itself finds", async () => {
  const { system, shells } = await host.open();
  const direct = await gatherDirectFacts(system, await askForFacts(shells), system.user.env);
  const local = createLocalSystem();
  const own = await gatherFacts(local, process.env, thisMachine);
  local.close();
  const still = (facts: Facts): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(facts).filter(([name]) => !(MOVING as readonly string[]).includes(name)),
    );
  expect(still(direct)).toEqual(still(own));
  expect(Math.abs(Number(direct.date_time.epoch) - Number(own.date_time.epoch))).toBeLessThan(60);
  expect(direct.date_time.tz).toBe(own.date_time.tz);
  expect(direct.mounts.map(({ mount, size_total, block_size }) => [mount, size_total, block_size])).toEqual(
    own.mounts.map(({ mount, size_total, block_size }) => [mount, size_total, block_size]),
  );
  expect(direct.env.VOLLEY_EMBEDDED_HOST).toBe("web01");
  await system.close();
});

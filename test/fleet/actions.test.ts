import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALL_CASES } from "./cases/all.ts";
import { CLEAN_UP } from "./cases/storage.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { runOn, writeInventory } from "./lib/volley.ts";

const playbook = fileURLToPath(new URL("cases/site.ts", import.meta.url));

/** VOLLEY_TEST_VIA narrows it down to one. */
const methods = (["bundle", "direct"] as const).filter((via) => (process.env.VOLLEY_TEST_VIA ?? via) === via);

describe.skipIf(!fleetAvailable()).each(methods)("actions on a real host, via %s", (via) => {
  let fleet: Fleet;
  let inventory: string;

  beforeAll(async () => {
    fleet = await bootFleet({ count: 1 });
    inventory = writeInventory(fleet, { vars: { ansible_user: "root" } });
    await fleet.hosts[0]!.exec(["apt-get", "update"]);
  });
  afterAll(async () => {
    await fleet?.hosts[0]?.exec(["sh", "-c", CLEAN_UP]);
    await fleet?.stop();
  });

  const sh = async (script: string): Promise<{ readonly code: number; readonly text: string }> => {
    const { code, stdout, stderr } = await fleet.hosts[0]!.exec(["sh", "-c", script]);
    return { code, text: `${stdout}${stderr}` };
  };

  const carryOut = async (
    tag: string,
    check: boolean,
  ): Promise<{ readonly state: string; readonly why: string }> => {
    const { events, summary } = await runOn(fleet, { inventory, playbook, tags: [tag], check, via });
    const end = events.find((event) => event.type === "task:end");
    if (end?.type !== "task:end") throw new Error(`nothing ran: ${JSON.stringify(summary.hosts)}`);
    const { state, unknown, error, message } = end.result;
    return { state: unknown === true ? "unknown" : state, why: error?.message ?? message ?? "" };
  };

  for (const [group, cases] of Object.entries(ALL_CASES)) {
    describe(group, () => {
      it.for(cases.map((one, index) => [one.name, one, index] as const))(
        "%s",
        async ([_name, one, index], { skip }) => {
          const tag = `${group}-${index}`;
          if (one.needs !== undefined && (await sh(one.needs.test)).code !== 0) skip(one.needs.reason);
          if (one.prepare !== undefined) {
            const prepared = await sh(one.prepare);
            expect(prepared, "preparing").toMatchObject({ code: 0 });
          }
          expect(await carryOut(tag, true), "check").toMatchObject({ state: one.check ?? "changed" });
          if (one.verifiedBefore !== true)
            expect((await sh(one.verify)).code, "check mode did it").not.toBe(0);
          expect(await carryOut(tag, false), "apply").toMatchObject({ state: "changed" });
          expect(await sh(one.verify), "verifying").toMatchObject({ code: 0 });
          expect(await carryOut(tag, false), "apply again").toMatchObject({
            state: one.again ?? "unchanged",
          });
        },
      );
    });
  }
});

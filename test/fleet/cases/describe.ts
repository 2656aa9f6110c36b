import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AddressClaim, waitForAddress } from "../lib/address.ts";
import { bootFleet, type Fleet } from "../lib/fleet.ts";
import { fleetAvailable } from "../lib/requirements.ts";
import { runOn, writeInventory } from "../lib/volley.ts";
import { ALL_CASES } from "./all.ts";
import type { ActionCase } from "./case.ts";
import { CLEAN_UP } from "./storage.ts";

const playbook = fileURLToPath(new URL("site.ts", import.meta.url));

/** An address that no host has: its holder has the kernel's loop devices and volume groups for itself. */
const disksAddress = "127.10.255.253";

/** Describes every case on a host of its own that is worked on in one way, so that another file can try the other. */
export function describeActions(via: "bundle" | "direct"): void {
  describe.skipIf(!fleetAvailable())(`actions on a real host, via ${via}`, () => {
    let fleet: Fleet;
    let inventory: string;

    beforeAll(async () => {
      fleet = await bootFleet({ count: 1 });
      inventory = writeInventory(fleet, { vars: { ansible_user: "root" } });
      await fleet.hosts[0]!.exec(["apt-get", "update"]);
    });
    afterAll(() => fleet?.stop());

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

    const tryOut = async (one: ActionCase, tag: string): Promise<void> => {
      if (one.prepare !== undefined) expect(await sh(one.prepare), "preparing").toMatchObject({ code: 0 });
      expect(await carryOut(tag, true), "check").toMatchObject({ state: one.check ?? "changed" });
      if (one.verifiedBefore !== true) expect((await sh(one.verify)).code, "check mode did it").not.toBe(0);
      expect(await carryOut(tag, false), "apply").toMatchObject({ state: "changed" });
      expect(await sh(one.verify), "verifying").toMatchObject({ code: 0 });
      expect(await carryOut(tag, false), "apply again").toMatchObject({ state: one.again ?? "unchanged" });
    };

    describe.each(Object.entries(ALL_CASES))("%s", (group, cases) => {
      if (group === "disks") {
        let turn: AddressClaim | undefined;
        beforeAll(async () => {
          turn = await waitForAddress(disksAddress);
        });
        afterAll(async () => {
          await sh(CLEAN_UP);
          turn?.release();
        });
      }
      it.for(cases.map((one, index) => [one.name, one, index] as const))(
        "%s",
        async ([_name, one, index], { skip }) => {
          if (one.needs !== undefined && (await sh(one.needs.test)).code !== 0) skip(one.needs.reason);
          await tryOut(one, `${group}-${index}`);
        },
      );
    });
  });
}

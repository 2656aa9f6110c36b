import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { runOn, writeInventory } from "./lib/volley.ts";

const playbook = fileURLToPath(new URL("fixtures/contract/site.ts", import.meta.url));

/** Return the output of each task by name, or the reason why it did not run. */
function outputs(events: readonly Event[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    events.flatMap((event) =>
      event.type === "task:end"
        ? [[event.name, String((event.result.data as { readonly stdout?: string } | undefined)?.stdout)]]
        : [],
    ),
  );
}

describe.skipIf(!fleetAvailable())("where commands run, and as whom", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await bootFleet({ count: 1 });
    // Homes others can read, and root's, which they cannot.
    const made = [
      "chmod 755 /home/deploy /home/plain; chmod 700 /root",
      "for home in /root /home/deploy /home/plain; do mkdir -p $home/below; touch $home/below/inside",
      "printf '#!/bin/sh\\necho here\\n' >$home/here; chmod 755 $home/here $home/below; done",
    ];
    await fleet.hosts[0]!.exec(["sh", "-ec", made.join("; ")]);
  });
  afterAll(() => fleet?.stop());

  it.each([
    // As Ansible 2.14 does: in the home of who is logged in, where that can be read.
    ["deploy", "", {}, "/home/deploy", "/home/deploy deploy deploy deploy"],
    ["deploy", "", { ansible_become: true }, "/home/deploy", "/root root root root"],
    [
      "deploy",
      "",
      { ansible_become_user: "plain", ansible_become: true },
      "/home/deploy",
      "/home/plain plain plain plain",
    ],
    ["root", "", {}, "/root", "/root root root root"],
    [
      "root",
      "",
      { ansible_become: true, ansible_become_user: "plain" },
      "/home/plain",
      "/home/plain plain plain plain",
    ],
    ["deploy", "root", {}, "/home/deploy", "/root root root root"],
    ["deploy", "plain", {}, "/home/deploy", "/home/plain plain plain plain"],
    ["deploy", "plain", { ansible_become: true }, "/home/deploy", "/home/plain plain plain plain"],
    ["root", "plain", {}, "/home/plain", "/home/plain plain plain plain"],
  ])(
    "%s, a task as %j, with %j: in %s, by a bundle and directly",
    async (login, as, vars, directory, who) => {
      const inventory = writeInventory(fleet, { vars: { ansible_user: login, as, ...vars } });
      for (const via of ["bundle", "direct"] as const) {
        const { events, summary } = await runOn(fleet, { inventory, playbook, via });
        expect(summary).toMatchObject({ exitCode: 0 });
        expect(outputs(events), via).toEqual({
          Say: `${directory}\n0022\n${who}`,
          "Say in a relative directory": `${directory}/below`,
          "Say at home": who.split(" ")[0],
          Created: "skipped, since here exists",
          "Not created": "ran",
          "Created below": "skipped, since inside exists",
          "Not removed": "ran",
          "A relative program": "here",
        });
      }
    },
  );

  it("a user who cannot read the login user's home works in the user's own, by a bundle and directly", async () => {
    await fleet.hosts[0]!.exec(["chmod", "700", "/home/deploy"]);
    const inventory = writeInventory(fleet, { vars: { ansible_user: "deploy", as: "plain" } });
    for (const via of ["bundle", "direct"] as const) {
      const { events } = await runOn(fleet, { inventory, playbook, via });
      expect(outputs(events).Say, via).toContain("/home/plain\n");
      expect(outputs(events).Created, via).toBe("skipped, since here exists");
    }
  });
});

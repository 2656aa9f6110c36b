import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PATIENT } from "../lib/patience.ts";
import { fleetStarter, follow, hostOf, ofType, start } from "./lib/drive.ts";
import { makeProject, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

const SITE = `import { command, definePlaybook, lineinfile, replace } from "volley";
export default definePlaybook([{ name: "Endless", hosts: "all", tasks: ({ task, facts, host }) => {
  const path = facts.env.HOME + "/file";
  if (host.name === "web01") {
    task("Limited", lineinfile({ path, regexp: "^(a+)+$", line: "b" }), { timeout: 1, ignoreErrors: true });
    task("Endless", replace({ path, regexp: "^(a+)+$", replace: "" }));
    return;
  }
  for (const name of ["One", "Two", "Three"]) task(name, command({ cmd: "echo " + name }));
} }]);
`;

test.each(["bundle", "direct"] as const)(
  "%s: what never ends on one host is ended by its timeout and by Ctrl-C, and holds up no other",
  PATIENT,
  async (via) => {
    const project = makeProject(scratch(), { "site.ts": SITE });
    const fleet = await startFleet({ count: 2 });
    for (const { home } of fleet.hosts) writeFileSync(join(home, "file"), `${"a".repeat(40)}!\n`);
    const running = start(project, fleet, { via });
    const ended: string[] = [];
    const ready = (): boolean => ended.includes("Three") && ended.includes("Limited");
    let told = false;
    const { events, summary } = await follow(running, (event) => {
      if (event.type === "task:end") ended.push(event.name);
      if (told || !ready()) return;
      told = true;
      running.cancel();
      running.cancel();
    });
    const errors = ofType(events, "task:end").map(({ name, result }) => [name, result.error?.code]);
    expect(errors.filter(([, code]) => code !== undefined)).toContainEqual(["Limited", "TIMEOUT"]);
    expect(ended.filter((name) => name !== "Endless")).toHaveLength(4);
    expect(hostOf({ summary }, "web02").tally).toMatchObject({ changed: 3 });
    expect(hostOf({ summary }, "web01").outcome).toBe("cancelled");
    expect(summary.exitCode).toBe(130);
  },
);

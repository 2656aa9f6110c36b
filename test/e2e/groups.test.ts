import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { carryBundle } from "../../src/controller/prepare/carry.ts";
import { fleetStarter, ofType, provision, type Ran } from "./lib/drive.ts";
import { makeProject, type Project, play, playbookText, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

/** An inventory with many hosts beside the one that is there. */
function largeInventory(hosts: string, many: number): string {
  const names = Array.from({ length: many }, (_none, index) => `node${index}.example.net`);
  const members = names.map((name) => `        ${name}: {}\n`).join("");
  const groups = ["red", "green", "blue"].map((group) => `    ${group}:\n      hosts:\n${members}`);
  return `${hosts}  children:\n    web:\n      hosts:\n        web01: {}\n${groups.join("")}`;
}

const ONE = "tags: []";
const role = (context: string, message: string): string =>
  playbookText(
    `{ name: "One", hosts: "web", tasks: (${context}) => { context.task("show", debug({ msg: ${message} })); } }`,
  );

const withGroups: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  [
    "a task's code",
    { "site.ts": role("context", "String(context.groups.red.length) + context.groups.web[0]") },
  ],
  [
    "code that takes it apart",
    {
      "site.ts": playbookText(
        `{ name: "One", hosts: "web", tasks: ({ task, groups: { red, web } }) => { task("show", debug({ msg: red.length + web[0] })); } }`,
      ),
    },
  ],
  [
    "a host's var",
    {
      "site.ts": playbookText(
        `{ name: "One", hosts: "web", tasks: ({ task }) => { task("show", template({ src: "x.j2", dest: "~/out" })); } }`,
      ),
      "templates/x.j2": "{{ shown }}",
      "group_vars/web.yaml": `shown: "{{ groups['red'] | length }}{{ groups['web'] | first }}"\n`,
    },
  ],
  [
    "a template",
    {
      "site.ts": playbookText(
        `{ name: "One", hosts: "web", tasks: ({ task }) => { task("show", template({ src: "x.j2", dest: "~/out" })); } }`,
      ),
      "templates/x.j2": "{% set all = groups %}{{ all['red'] | length }}{{ all.web[0] }}",
    },
  ],
];

async function go(
  project: Project,
  many = 3,
): Promise<{ readonly ran: Ran; readonly out: () => string; again(): Promise<number> }> {
  const fleet = await startFleet({ count: 1 });
  const [host] = fleet.hosts;
  const inventory = project.write("large.yaml", largeInventory(fleet.inventoryYaml(), many));
  const ran = await provision(project, fleet, { inventory });
  return {
    ran,
    out: () => readFileSync(join(host!.home, "out"), "utf8"),
    // The bundle is there now, and only the job is sent.
    again: async () => {
      const before = host!.stats.bytesIn;
      await provision(project, fleet, { inventory });
      return host!.stats.bytesIn - before;
    },
  };
}

test.each(withGroups)("groups are sent to who asks for them in %s", async (_where, files) => {
  const { ran, out } = await go(makeProject(scratch(), files));
  expect(ran.summary.exitCode).toBe(0);
  const [end] = ofType(ran.events, "task:end");
  expect(end!.action === "debug" ? end!.result.message : out()).toBe("3web01");
});

test("groups are not sent to who says nothing of them: neither the host's own, nor an action's parameter", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(
      play(
        ONE,
        `task("own", debug({ msg: host.groups.join() })); task("x", debug({ msg: "{{ group_names | join }}" }));`,
      ).replace('hosts: "all"', 'hosts: "web"'),
      `{ name: "Two", hosts: "web", tasks: ({ task }) => { const given = { name: "x", groups: ["sudo"] }; task("y", debug({ msg: JSON.stringify(given) })); } }`,
    ),
  });
  const { ran, again } = await go(project, 1_000);
  expect(ran.summary).toMatchObject({ exitCode: 0, tally: { unchanged: 3 } });
  expect(ofType(ran.events, "task:end")[0]!.result.message).toBe("web");
  // Three groups of names would be some 60,000 bytes.
  expect(await again()).toBeLessThan(30_000);
});

test("a carried bundle has them where it asks for them, and not otherwise", async () => {
  const inventory = largeInventory("all:\n  hosts:\n    web01: {}\n", 1_000);
  const sizes = [];
  for (const message of ["String(context.groups.red.length)", '"none"']) {
    const project = makeProject(scratch(), {
      "site.ts": role("context", message),
      "inventory.yaml": inventory,
    });
    const { bytes } = await carryBundle({
      playbook: "site.ts",
      cwd: project.directory,
      inventory: ["inventory.yaml"],
      limit: "web01",
    });
    sizes.push(bytes.toString("latin1").length);
  }
  expect(sizes[0]! - sizes[1]!).toBeGreaterThan(2_000);
});

test("code that puts the name together is told that they were not sent", async () => {
  const project = makeProject(scratch(), {
    "site.ts": role("context", `Object.keys((context as any)[["gro", "ups"].join("")].red).join()`),
  });
  const { ran } = await go(project);
  expect(ran.summary.exitCode).toBe(2);
  expect(ran.summary.hosts[0]!.failures[0]!.error).toMatchObject({
    code: "PLAYBOOK_INVALID",
    message: "the inventory's groups were not sent to this host",
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDiskAssets } from "../../../src/bundle/assets.ts";
import { planHosts } from "../../../src/controller/prepare/plan.ts";
import { preflight } from "../../../src/controller/prepare/preflight.ts";
import { readInventory } from "../../../src/controller/prepare/read.ts";
import { definePlaybook } from "../../../src/core/playbook.ts";
import { defineRole, type RoleUse } from "../../../src/core/role.ts";
import { copy, file, template } from "../../../src/index.ts";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-preflight-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Do the preflight checks of a role on the hosts of an inventory. Return the hosts passed over. */
async function check(name: string, hosts: string, use: RoleUse): Promise<readonly string[]> {
  const path = join(directory, `${name}.yml`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, hosts);
  const playbook = definePlaybook([{ hosts: "all", roles: [use] }]);
  const { inventory, select } = await readInventory(path, { cwd: directory, playbookDirectory: directory });
  const { plays, groups } = planHosts(playbook, inventory, (pattern) => select(pattern));
  const assets = createDiskAssets(() => directory);
  return [...(await preflight({ plays, assets, groups, check: false }))];
}

const vhosts = defineRole({
  name: "vhosts",
  vars: v.object({ vhosts: v.array(v.object({ port: v.number() })), user: v.optional(v.string()) }),
  tasks: ({ task, vars }) => {
    for (const { port } of vars.vhosts) task(`${port}`, file({ path: `/srv/${port}`, state: "directory" }));
  },
});

const plain = (tasks: (vars: Record<string, unknown>) => unknown): RoleUse =>
  defineRole({
    name: "plain",
    tasks: ({ task, vars }) => {
      task("T", tasks(vars as Record<string, unknown>) as never);
    },
  })();

describe("templates in vars are no reason to refuse a sound playbook", () => {
  it.each([
    ["an expression deep down", 'vhosts: [{port: "{{ base + 1 }}"}], base: 80'],
    ["a block", `vhosts: [{port: "{% if base %}80{% endif %}"}], base: 1`],
    ["a comment", 'vhosts: [{port: "8{# 8 #}0"}]'],
    ["a whole list", 'vhosts: "{{ all_ports }}", all_ports: [{port: "{{ 80 }}"}]'],
    ["what depends on facts", 'vhosts: [{port: "{{ ansible_processor_vcpus }}"}]'],
    ["what asks the host", `vhosts: [{port: "{% if '/x' is exists %}1{% else %}2{% endif %}"}]`],
    ["a var that nobody uses, and that is wrong", 'vhosts: [{port: 1}], unused: "{{ nosuch }}"'],
    ["a var that is wrong where it is used", 'vhosts: "{{ nosuch }}"'],
  ])("%s", async (name, vars) => {
    await expect(
      check(name.replaceAll(/\W/g, "-"), `all: {hosts: {h1: {${vars}}}}\n`, vhosts()),
    ).resolves.toBeDefined();
  });

  it("says whose vars only a run knows", async () => {
    const hosts = `all: {hosts: {h1: {vhosts: [{port: "{{ ansible_x }}"}]}, h2: {vhosts: [{port: 1}], unused: "{{ ansible_x }}"}}}\n`;
    expect(await check("short", hosts, vhosts())).toEqual(["h1"]);
  });
});

describe("templates that play no part leave the checks as they are", () => {
  const unused = 'motd: "{{ nosuch }} {{ ansible_hostname }}", more: ["{{ ansible_x }}"]';

  it("wrong vars are found", async () => {
    const hosts = `all: {hosts: {h1: {${unused}, vhosts: [{port: many}]}}}\n`;
    await expect(check("wrong-var", hosts, vhosts())).rejects.toMatchObject({ code: "VARS_INVALID" });
    const known = `all: {hosts: {h1: {user: "{{ ansible_x }}", vhosts: [{port: many}]}}}\n`;
    await expect(check("wrong-beside", known, vhosts())).rejects.toMatchObject({ code: "VARS_INVALID" });
    await expect(
      check("missing", `all: {hosts: {h1: {user: "{{ ansible_x }}"}}}\n`, vhosts()),
    ).rejects.toThrow(/var "vhosts" is missing/);
    const rendered = `all: {hosts: {h1: {n: x, vhosts: [{port: "{{ n }}"}]}}}\n`;
    await expect(check("rendered", rendered, vhosts())).rejects.toMatchObject({ code: "VARS_INVALID" });
  });

  it("wrong parameters are found, and files that are missing", async () => {
    const hosts = `all: {vars: {${unused}}, hosts: {h1: {mode: "0644", dir: "{{ base }}/x", base: /srv}}}\n`;
    await expect(
      check(
        "wrong",
        hosts,
        plain(() => file({ path: "/x", state: "nosuch" as never })),
      ),
    ).rejects.toMatchObject({ code: "PARAMS_INVALID" });
    await expect(
      check(
        "rendered-dir",
        hosts,
        plain(({ dir }) => copy({ src: `none-${String(dir)}`, dest: "/x" })),
      ),
    ).rejects.toThrow(/files\/none-\/srv\/x/);
    await expect(
      check(
        "no-template",
        hosts,
        plain(() => template({ src: "none.j2", dest: "/x" })),
      ),
    ).rejects.toMatchObject({ code: "ASSET_MISSING" });
  });

  it("a role that asks for one of them is looked at no further", async () => {
    const hosts = `all: {hosts: {h1: {${unused}}}}\n`;
    const role = plain(({ motd }) => file({ path: `/x${String(motd)}`, state: "nosuch" as never }));
    expect(await check("asks", hosts, role)).toEqual(["h1"]);
  });
});

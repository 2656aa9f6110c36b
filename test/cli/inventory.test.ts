import { describe, expect, it } from "vitest";
import { type InventoryAction, type InventoryView, inventoryCommand } from "../../src/cli/inventory.ts";
import { type Files, failure, load, loadModule, project } from "../inventory/project.ts";

const FILES: Files = {
  "inv/hosts.yml": `
all:
  vars:
    ansible_user: deploy
    ansible_become: yes
    domain: example.org
  children:
    prod:
      children:
        web:
          hosts:
            web[1:2]:
            web3: {ansible_host: 10.0.0.3, ansible_port: 2222, workers: 8, db_password: hunter2}
        db:
          hosts: {db1: {ansible_become_user: postgres}}
  hosts:
    localhost: {ansible_connection: local, ansible_become: no}
`,
  "inv/group_vars/web.yml": `
workers: 4
sites:
  - {name: www, root: /srv/www, aliases: [a.example.org, b.example.org]}
  - name: api
domain: example.com
banner: Welcome to {{ inventory_hostname }}, property of the Example Organisation; all you do is logged.
motd: |
  one
  two
quoted: "yes"
`,
};

async function run(
  action: InventoryAction,
  args: readonly string[] = [],
  flags: Partial<InventoryView> & { readonly color?: boolean } = {},
): Promise<string> {
  const cwd = await project(FILES);
  let text = "";
  const stdout = (piece: string): void => {
    text += piece;
  };
  const { color = false, ...rest } = flags;
  const code = await inventoryCommand(
    action,
    args,
    { inventory: ["inv"], ...rest },
    { stdout, stderr: stdout, color, cwd, loadModule },
  );
  expect(code).toBe(0);
  return text;
}

describe("volley inventory list", () => {
  it("shows how each host is reached", async () => {
    expect(await run("list")).toMatchInlineSnapshot(`
      "HOST       ADDRESS        USER    BECOME    GROUPS
      web1                      deploy  root      web, prod
      web2                      deploy  root      web, prod
      web3       10.0.0.3:2222  deploy  root      web, prod
      db1                       deploy  postgres  db, prod
      localhost  (local)        deploy            ungrouped

      5 hosts in 3 groups
      "
    `);
  });

  it("shows those a pattern and a limit leave", async () => {
    expect(await run("list", ["web"], { limit: "!web2" })).toMatchInlineSnapshot(`
      "HOST  ADDRESS        USER    BECOME  GROUPS
      web1                 deploy  root    web, prod
      web3  10.0.0.3:2222  deploy  root    web, prod

      2 of 5 hosts in 2 groups
      "
    `);
    expect(await run("list", ["web"], { limit: "db" })).toBe("No hosts.\n");
    expect(await run("list", ["web"], { limit: "!web2", names: true })).toBe("web1\nweb3\n");
  });

  it("marks names only where there is colour", async () => {
    expect(await run("list", ["db1"], { color: true })).toContain("\u001b[1mdb1");
    expect(await run("list", ["db1"])).not.toContain("\u001b");
  });

  it("prints JSON that reads back as the same inventory", async () => {
    const text = await run("list", [], { json: true });
    expect(JSON.parse(text)).toMatchObject({
      _meta: { hostvars: { db1: { ansible_become_user: "postgres", domain: "example.org" } } },
      all: { children: ["ungrouped", "prod"] },
      ungrouped: { hosts: ["localhost"] },
      prod: { children: ["web", "db"] },
      web: { hosts: ["web1", "web2", "web3"] },
    });
    const again = await load({ "saved.json": text });
    const first = await load(FILES, ["inv"]);
    expect([...again.hosts].map(([name, { vars, groups }]) => [name, vars, groups]).sort()).toEqual(
      [...first.hosts].map(([name, { vars, groups }]) => [name, vars, groups]).sort(),
    );
  });

  it("keeps within 80 columns where a host is in many groups", async () => {
    const groups = Array.from({ length: 30 }, (_, index) => `group-number-${index}: {hosts: {web1: }}`).join(
      "\n",
    );
    const cwd = await project({ "h.yml": groups });
    const lines: string[] = [];
    const io = {
      stdout: (text: string) => void lines.push(...text.split("\n")),
      stderr: () => {},
      color: false,
      cwd,
      loadModule,
    };
    await inventoryCommand("list", [], { inventory: ["h.yml"] }, io);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe("volley inventory graph", () => {
  it("draws the tree", async () => {
    expect(await run("graph")).toMatchInlineSnapshot(`
      "@all:
        |--@ungrouped:
        |  |--localhost
        |--@prod:
        |  |--@web:
        |  |  |--web1
        |  |  |--web2
        |  |  |--web3
        |  |--@db:
        |  |  |--db1
      "
    `);
  });

  it("draws a part of it", async () => {
    expect(await run("graph", ["web"], { limit: "web3" })).toBe("@web:\n  |--web3\n");
    expect(await failure(run("graph", ["wbe"]))).toBe(
      'PATTERN_UNKNOWN no group is called "wbe"; did you mean "web"?',
    );
  });
});

describe("volley inventory host", () => {
  it("shows every var and where it came from", async () => {
    expect(await run("host", ["web3"])).toMatchInlineSnapshot(`
      "web3
        groups       web, prod
        address      10.0.0.3
        port         2222
        user         deploy
        become       root

      host web3  inv/hosts.yml
        13  workers         8
        13  ansible_host    10.0.0.3
        13  ansible_port    2222
        13  db_password     ••••••••

      group web  inv/group_vars/web.yml
         2  workers         4  ← host web3 wins
         3  sites           - name: www
                              root: /srv/www
                              aliases: [a.example.org, b.example.org]
                            - name: api
         6  domain          example.com
         7  banner          Welcome to {{ inventory_hostname }}, property of the
                            Example Organisation; all you do is logged.
         8  motd            |
                              one
                              two
        11  quoted          "yes"

      all  inv/hosts.yml
         4  ansible_user    deploy
         5  ansible_become  true
         6  domain          example.org  ← group web wins
      "
    `);
  });

  it("shows a local host", async () => {
    expect(await run("host", ["localhost"])).toMatchInlineSnapshot(`
      "localhost
        groups       ungrouped
        connection   local (this machine, without SSH)
        become       nobody else

      host localhost  inv/hosts.yml
        17  ansible_become      false
        17  ansible_connection  local

      all  inv/hosts.yml
         4  ansible_user        deploy
         5  ansible_become      true  ← host localhost wins
         6  domain              example.org
      "
    `);
  });

  it("prints the vars as JSON", async () => {
    expect(JSON.parse(await run("host", ["db1"], { json: true }))).toEqual({
      ansible_user: "deploy",
      ansible_become: true,
      ansible_become_user: "postgres",
      domain: "example.org",
    });
  });

  it("needs a name that is known", async () => {
    expect(await failure(run("host"))).toBe("USAGE which host? Write: volley inventory host NAME");
    expect(await failure(run("host", ["web9"]))).toBe(
      'PATTERN_UNKNOWN no host or group is called "web9"; did you mean "web"?',
    );
  });
});

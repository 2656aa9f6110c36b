import { describe, expect, it } from "vitest";
import type { VolleyError } from "../../src/core/errors.ts";
import { limitHosts, selectHosts } from "../../src/inventory/select.ts";
import { failure, load, project } from "./project.ts";

const HOSTS = `
mail.example.org
[web]
web[01:12]
[db]
db1
db2
2001:db8::1
[prod:children]
web
db
[canary]
web02
db2
[empty]
[app]
app[a:c]
`;
const GROUPS = "Groups: all, ungrouped, web, db, prod, canary, empty, app.";

function web(...numbers: readonly number[]): string[] {
  return numbers.map((number) => `web${String(number).padStart(2, "0")}`);
}
const WEB = web(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
const DB = ["db1", "db2", "2001:db8::1"];
const APP = ["appa", "appb", "appc"];
// As Ansible has it: the hosts of `ungrouped`, of the groups below `all` as they are declared, of the groups below those.
const ALL = ["mail.example.org", "web02", "db2", ...APP, ...WEB, ...DB].filter(
  (name, index, all) => all.indexOf(name) === index,
);

async function select(pattern: string): Promise<readonly string[]> {
  return selectHosts(await load({ hosts: HOSTS }), pattern).map(({ name }) => name);
}

describe("selectHosts", () => {
  it.each<[string, readonly string[]]>([
    ["all", ALL],
    ["*", ALL],
    ["web", WEB],
    ["web03", ["web03"]],
    ["prod", [...WEB, ...DB]],
    ["ungrouped", ["mail.example.org"]],
    ["empty", []],
    ["*.example.org", ["mail.example.org"]],
    ["web0?", web(1, 2, 3, 4, 5, 6, 7, 8, 9)],
    ["web0[13]", web(1, 3)],
    ["web0[1-3]", web(1, 2, 3)],
    ["web0[!1-8]", web(9)],
    ["w*", WEB],
    ["em*", []],
    ["web[0]", web(1)],
    ["web[-1]", web(12)],
    ["web[0:2]", web(1, 2, 3)],
    ["web[10:]", web(11, 12)],
    ["web[99]", []],
    ["empty[0]", []],
    ["all[0]", ["mail.example.org"]],
    ["*[0]", ["mail.example.org"]],
    ["web[01:03]", web(1, 2, 3)],
    ["web[09:20]", web(9, 10, 11, 12)],
    ["web[01-03]", web(1, 2, 3)],
    ["web[01-03,09-20]", web(1, 2, 3, 9, 10, 11, 12)],
    ["web[08,10]", web(8, 10)],
    ["web[01-12/4]", web(1, 5, 9)],
    ["web[0-1][0-2]", web(1, 2, 10, 11, 12)],
    ["w*[01-03]", web(1, 2, 3)],
    ["prod:!web[01-12]", DB],
    ["web[01-02],db[1-3]", ["web01", "web02", "db1", "db2"]],
    ["db[1:2]", ["db2", "2001:db8::1"]],
    ["app[a:b]", ["appa", "appb"]],
    ["web0[1:9:4]", web(1, 5, 9)],
    ["~web\\d[12]$", web(1, 2, 11, 12)],
    ["~(mail|db)", [...DB, "mail.example.org"]],
    ["web02:db", ["web02", ...DB]],
    ["db,web02", [...DB, "web02"]],
    ["db, web02", [...DB, "web02"]],
    ["db:web[1:2]", [...DB, "web02", "web03"]],
    ["web03[0]", ["web03"]],
    ["d*[1]", ["db2"]],
    ["d*[3:]", DB.slice(0, 2)],
    ["prod:&canary", ["web02", "db2"]],
    ["prod:!web", DB],
    ["!web:!app", ["mail.example.org", "db2", "db1", "2001:db8::1"]],
    ["!web,prod", DB],
    ["&canary", ["web02", "db2"]],
    ["&canary:!db:prod", ["web02"]],
    ["web:&empty", []],
    ["~web(01|1[0-2]):&prod:!web1[12]", web(1, 10)],
    ["~web\\d{1,2}:!web[0:9]", web(11, 12)],
    ["2001:db8::1", ["2001:db8::1"]],
    ["[2001:db8::1]", ["2001:db8::1"]],
    ["db:![2001:db8::1]", ["db1", "db2"]],
    ["web01,2001:db8::1", ["web01", "2001:db8::1"]],
  ])("%s", async (pattern, hosts) => {
    expect(await select(pattern)).toEqual(hosts);
  });

  it.each([
    ["wbe", 'no host or group is called "wbe"; did you mean "web"?'],
    ["web03x", 'no host or group is called "web03x"; did you mean "web03"?'],
    ["nothing-like-it", 'no host or group is called "nothing-like-it"'],
    ["web:!dbb", 'in the pattern "web:!dbb": no host or group is called "dbb"; did you mean "db"?'],
    [
      "web:&cannary",
      'in the pattern "web:&cannary": no host or group is called "cannary"; did you mean "canary"?',
    ],
    ["zzz*", 'no host or group matches "zzz*"'],
    ["~eb", 'no host or group matches "~eb"'],
    ["host[1:3]", 'no host or group matches "host[1:3]"'],
    ["host[3:1]", '"host[3:1]" is not a pattern: [3:1] runs backwards'],
    ["~web(", '"~web(" is not a valid regular expression: a ( is never closed'],
    ["", "the pattern is empty"],
    [" , ", "the pattern is empty"],
  ])("refuses %j", async (pattern, message) => {
    expect(await failure(select(pattern))).toBe(`PATTERN_UNKNOWN ${message}`);
  });

  it("names the groups there are", async () => {
    await expect(select("wbe")).rejects.toMatchObject({ hint: GROUPS });
    await expect(load({}, []).then((none) => selectHosts(none, "web"))).rejects.toMatchObject({
      hint: "The inventory is empty; name one with -i.",
    });
  });

  it("says why a source was passed over, whose hosts may be meant", async () => {
    const files = { "broken.yml": "all:\n  hosts:\n    web1:\n  - x\n", hosts: "web2\n" };
    const hint = async (...paths: readonly string[]): Promise<string | undefined> => {
      const inventory = await load(files, paths, { asAnsible: true });
      try {
        selectHosts(inventory, "web1");
      } catch (thrown) {
        return (thrown as VolleyError).hint;
      }
    };
    expect(await hint("broken.yml")).toMatch(/^broken\.yml is passed over: not valid YAML: .+/);
    expect(await hint("broken.yml", "none")).toMatch(/ there is no inventory at none$/);
    expect(await hint("broken.yml", "hosts")).toMatch(/^Groups: .+\. broken\.yml is passed over: /);
  });

  it("takes localhost for this machine, unless the inventory says what it is", async () => {
    expect(selectHosts(await load({ hosts: HOSTS }), "localhost")).toMatchObject([
      { name: "localhost", connection: { connection: "local" } },
    ]);
    expect(selectHosts(await load({ hosts: "localhost x=1\n" }), "localhost")).toMatchObject([
      { name: "localhost", vars: { x: 1 }, connection: { connection: "ssh" } },
    ]);
  });
});

describe("the order of a group's hosts", () => {
  it("is that in which the group names them", async () => {
    const inventory = await load({ hosts: "[web]\nweb1\nweb2\n[db]\ndb1\nweb1\n" });
    expect(inventory.groups.get("db")?.hosts).toEqual(["db1", "web1"]);
    for (const [pattern, names] of [
      ["db[0]", ["db1"]],
      ["db[1:]", ["web1"]],
      ["db", ["db1", "web1"]],
      ["db:web", ["db1", "web1", "web2"]],
      ["all", ["web1", "web2", "db1"]],
    ] as const)
      expect(selectHosts(inventory, pattern).map(({ name }) => name)).toEqual(names);
  });

  it("has a group's own hosts before those of its children, in the order these are declared", async () => {
    const inventory = await load({
      hosts: "[top:children]\nb\na\n[a]\na1\nshared\n[b]\nb1\n[top]\nt1\nb1\n[b:children]\nc\n[c]\nc1\na1\n",
    });
    expect(inventory.groups.get("top")?.hosts).toEqual(["t1", "b1", "a1", "shared", "c1"]);
    expect(inventory.groups.get("b")?.hosts).toEqual(["b1", "c1", "a1"]);
  });

  it("is that of a script's list, whatever hosts it has vars of", async () => {
    const listing = {
      _meta: { hostvars: { z: { x: 1 }, a: { x: 1 } } },
      g: { hosts: ["a", "z"] },
      h: { hosts: ["z"] },
    };
    const inventory = await load({ "hosts.sh": `#!/bin/sh\necho '${JSON.stringify(listing)}'\n` });
    expect(selectHosts(inventory, "all").map(({ name }) => name)).toEqual(["a", "z"]);
    expect(inventory.hosts.get("z")?.vars).toEqual({ x: 1 });
  });
});

describe("limitHosts", () => {
  it.each<[string, readonly string[]]>([
    ["db", DB],
    ["!db", WEB],
    ["app", []],
    ["web[0:1],db1", [...web(1, 2), "db1"]],
    ["@failed.txt", ["web03", "db1"]],
    ["@failed.txt,web01", ["web01", "web03", "db1"]],
    ["@none.txt", []],
  ])("%s", async (limit, names) => {
    const cwd = await project({
      "failed.txt": "# hosts that failed\ndb1\n\nweb03 # twice\nappa\n",
      "none.txt": "\n",
    });
    const inventory = await load({ hosts: HOSTS });
    const limited = limitHosts(selectHosts(inventory, "prod"), inventory, limit, { cwd });
    expect(limited.map(({ name }) => name)).toEqual(names);
  });

  it("refuses unknown names and missing files", async () => {
    const inventory = await load({ hosts: HOSTS });
    const limit = async (text: string): Promise<unknown> =>
      limitHosts([], inventory, text, { cwd: "/nonexistent" });
    expect(await failure(limit("webb"))).toBe(
      'PATTERN_UNKNOWN no host or group is called "webb"; did you mean "web"?',
    );
    expect(await failure(limit("@x"))).toBe("USAGE the limit @x cannot be read: there is no such file");
    expect(await failure(limit("@/"))).toBe("USAGE the limit @/ must be a file");
  });
});

it("ends a regular expression that would never end, and says which", async () => {
  const inventory = await load({ hosts: `${"a".repeat(40)}1\n` });
  expect(() => selectHosts(inventory, "~(a+)+$")).toThrow(/"~\(a\+\)\+\$" takes too long to match a name/);
});

import { describe, expect, it } from "vitest";
import { Data } from "../../src/core/values/value.ts";
import { groupsOf, load, varsOf } from "./project.ts";

describe("YAML", () => {
  it("reads groups, ranges, ports, null bodies and bare groups at the top", async () => {
    const inventory = await load({
      "hosts.yml": `
all:
  vars: {ntp: ntp.example.org}
  hosts:
    mail:
  children:
    prod:
      children:
        web:
          hosts:
            web[01:02]: {workers: 4}
            web09:2222:
        db:
    empty:
db:
  hosts:
    db-[a:b]:
    "2001:db8::1":
    "[2001:db8::2]:22":
`,
    });
    expect(groupsOf(inventory)).toEqual({
      all: ["mail", "web01", "web02", "web09", "db-a", "db-b", "2001:db8::1", "2001:db8::2"],
      ungrouped: ["mail"],
      prod: ["web01", "web02", "web09", "db-a", "db-b", "2001:db8::1", "2001:db8::2"],
      web: ["web01", "web02", "web09"],
      db: ["db-a", "db-b", "2001:db8::1", "2001:db8::2"],
    });
    expect(inventory.groups.get("empty")?.hosts).toEqual([]);
    expect(inventory.groups.get("prod")).toMatchObject({ children: ["web", "db"], directHosts: [] });
    expect(inventory.hosts.get("web02")).toMatchObject({
      vars: { workers: 4, ntp: "ntp.example.org" },
      groups: ["web", "prod"],
    });
    expect(inventory.hosts.get("web09")?.connection.port).toBe(2222);
  });

  it("reads values as YAML 1.1, keeps templates as text, follows anchors and merges", async () => {
    const inventory = await load({
      "hosts.yml": `
all:
  vars: &common
    become: yes
    mode: 0644
    quoted: "yes"
    text: "{{ other }}:80"
    raw: !unsafe "{{ not a template }}"
    country: {no: Norway}
    list: [on, ~, 1.5]
    block: |
      one
      two
  hosts: {web1: {<<: *common, mode: 1}}
`,
    });
    expect(varsOf(inventory, "web1")).toEqual({
      become: true,
      mode: 1,
      quoted: "yes",
      text: "{{ other }}:80",
      raw: new Data("{{ not a template }}"),
      country: new Map([[false, "Norway"]]),
      list: [true, null, 1.5],
      block: "one\ntwo\n",
    });
  });

  it.each(["", "# nothing\n", "---\n", "all:\n", "all:\n  hosts:\n"])(
    "reads %j as no hosts",
    async (text) => {
      expect((await load({ "hosts.yml": text })).hosts.size).toBe(0);
    },
  );

  it("takes one bare name for a mapping of it", async () => {
    const inventory = await load({ "hosts.yml": "web: {hosts: web1, children: sub}\n" });
    expect(inventory.groups.get("web")).toMatchObject({ hosts: ["web1"], children: ["sub"] });
  });
});

describe("INI", () => {
  it("reads hosts, vars, children and ranges", async () => {
    const inventory = await load({
      hosts: `
# a comment
mail.example.org
web1 ansible_host=10.0.0.1 note="two words # here" list="[1, 'a']" on=true On=True mode=0644 # a comment
[web]   # another
web[01:02] port=80
[db]
db1:2222
[::1]:44
[::2]
[prod:children]
web
db
[prod:vars]
domain = example.org
motd = hello # world
servers=['a', 'b']
[all:vars]
ntp=ntp.example.org
`,
    });
    expect(groupsOf(inventory)).toEqual({
      all: ["mail.example.org", "web1", "web01", "web02", "db1", "::1", "::2"],
      ungrouped: ["mail.example.org", "web1"],
      web: ["web01", "web02"],
      db: ["db1", "::1", "::2"],
      prod: ["web01", "web02", "db1", "::1", "::2"],
    });
    expect(varsOf(inventory, "web1")).toEqual({
      ansible_host: "10.0.0.1",
      note: "two words # here",
      list: [1, "a"],
      on: "true",
      On: true,
      mode: "0644",
      ntp: "ntp.example.org",
    });
    const shared = {
      domain: "example.org",
      motd: "hello # world",
      servers: ["a", "b"],
      ntp: "ntp.example.org",
    };
    expect(varsOf(inventory, "web02")).toEqual({ ...shared, port: 80 });
    expect(varsOf(inventory, "::1")).toEqual({ ...shared, ansible_port: 44 });
    expect(inventory.hosts.get("web02")?.sources).toMatchObject({
      port: { file: "hosts", line: 6, scope: "host web02" },
      domain: { file: "hosts", line: 15, scope: "group prod" },
      ntp: { file: "hosts", line: 19, scope: "all" },
    });
  });

  it("lets a group be named before it is declared", async () => {
    const inventory = await load({ hosts: "[prod:children]\nweb\n[web:vars]\na=1\n[web]\nweb1\n" });
    expect(varsOf(inventory, "web1")).toEqual({ a: 1 });
  });
});

describe("TypeScript", () => {
  it("reads a declaration", async () => {
    const inventory = await load({
      "inventory.mjs": `
export default {
  defaults: { user: "deploy", become: "root", vars: { domain: "example.org" } },
  hosts: ["lone"],
  groups: {
    web: {
      port: 2222,
      vars: { workers: 4 },
      hosts: { "web[1:2]": { privateKeyFile: "keys/web" }, web3: undefined },
      children: { canary: { hosts: { web2: { address: "10.0.0.2", become: false, vars: { workers: 8 } } } } },
    },
    prod: { children: ["web"], become: "app" },
    root: { hosts: { web1: { become: true } } },
  },
};`,
    });
    expect(groupsOf(inventory)).toEqual({
      all: ["lone", "web1", "web2", "web3"],
      ungrouped: ["lone"],
      web: ["web1", "web2", "web3"],
      canary: ["web2"],
      prod: ["web1", "web2", "web3"],
      root: ["web1"],
    });
    expect(inventory.hosts.get("web2")).toMatchObject({
      connection: { address: "10.0.0.2", port: 2222, user: "deploy", become: null },
      vars: { workers: 8, domain: "example.org" },
      groups: ["canary", "web", "prod"],
      sources: { workers: { file: "inventory.mjs", scope: "host web2" } },
    });
    expect(inventory.hosts.get("web1")?.connection.become).toBe("root");
    expect(inventory.hosts.get("web3")?.connection.become).toBe("app");
    expect(inventory.hosts.get("lone")?.connection).toMatchObject({
      address: "lone",
      user: "deploy",
      become: "root",
    });
  });
});

describe("executable", () => {
  it("reads what --list prints", async () => {
    const listing = {
      web: { hosts: ["a", "b"], vars: { x: true }, children: ["sub"] },
      db: ["c"],
      _meta: { hostvars: { a: { y: 1 }, unheard: { z: 1 } } },
    };
    const inventory = await load({
      cloud: `#!/bin/sh\n[ "$1" = --list ] && echo '${JSON.stringify(listing)}'\n`,
    });
    expect(groupsOf(inventory)).toEqual({ all: ["a", "b", "c"], web: ["a", "b"], db: ["c"] });
    expect(varsOf(inventory, "a")).toEqual({ x: true, y: 1 });
    expect(inventory.groups.get("web")?.children).toEqual(["sub"]);
  });

  it("asks for each host where there is no _meta", async () => {
    const inventory = await load({
      cloud: `#!/bin/sh\nif [ "$1" = --list ]; then echo '{"web": ["a", "b"]}'; else echo "{\\"me\\": \\"$2\\"}"; fi\n`,
    });
    expect(["a", "b"].map((host) => varsOf(inventory, host))).toEqual([{ me: "a" }, { me: "b" }]);
  });

  it("is stopped by its signal", async () => {
    const loading = load({ cloud: "#!/bin/sh\nexec sleep 60\n" }, ["cloud"], {
      signal: AbortSignal.timeout(50),
    });
    await expect(loading).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("reads saved JSON too", async () => {
    const inventory = await load({
      "saved.json": `{"web": {"hosts": ["a"]}, "_meta": {"hostvars": {"a": {"y": 1}}}}`,
    });
    expect(varsOf(inventory, "a")).toEqual({ y: 1 });
  });
});

describe("several sources", () => {
  it("reads a directory in name order and leaves out what is no inventory", async () => {
    const inventory = await load(
      {
        "inv/20-more.yml": "web: {hosts: {web1: {a: later}}}",
        "inv/10-hosts": "[web]\nweb1 a=earlier b=1\n[db]\ndb1\n",
        "inv/sub/hosts": "[prod:children]\ndb\n",
        "inv/README": "not: [an inventory",
        "inv/README.md": "# no",
        "inv/hosts.orig": "no such format",
        "inv/.hidden": "no such format",
        "inv/hosts~": "no such format",
        "inv/group_vars/web.yml": "c: 2",
      },
      ["inv"],
    );
    expect(varsOf(inventory, "web1")).toEqual({ a: "later", b: 1, c: 2 });
    expect(groupsOf(inventory)).toMatchObject({ prod: ["db1"], all: ["web1", "db1"] });
  });

  it("merges several, and host lists", async () => {
    const inventory = await load({ one: "[web]\nweb1 a=1\n", "two.yml": "web: {hosts: {web1: {a: 2}}}" }, [
      "one",
      "two.yml",
      "host1, host2:2222,n[1-2,4],",
    ]);
    expect([...inventory.hosts.keys()]).toEqual(["web1", "host1", "host2", "n1", "n2", "n4"]);
    expect(varsOf(inventory, "web1")).toEqual({ a: 2 });
    expect(inventory.hosts.get("host2")?.connection).toMatchObject({ address: "host2", port: 2222 });
  });

  it("tells YAML from INI where the name does not", async () => {
    for (const text of [
      "---\nall:\n  hosts: {a: }\n",
      "# x\nall:\n  hosts: {a: }\n",
      '{"all": {"hosts": {"a": {}}}}',
      "all: {hosts: {a: }}\n",
      "all: &every\n  hosts: {a: }\n",
      "all: !!map\n  hosts: {a: }\n",
      "\ufeffall:\n  hosts: {a: }\n",
      "a\n",
      "[web]\na\n",
    ]) {
      expect([...(await load({ production: text })).hosts.keys()]).toEqual(["a"]);
    }
  });

  it("has only all and ungrouped when there is no source", async () => {
    const inventory = await load({}, []);
    expect([...inventory.groups.keys()]).toEqual(["all", "ungrouped"]);
  });
});

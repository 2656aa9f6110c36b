import { expect, test } from "vitest";
import { failure, groupsOf, load, varsOf } from "./project.ts";

const HOSTS = `[web]
w1 role=front env=prod n=1
w2 role=back env=dev n=2
[db]
d1 env=prod tags='["x","y-z"]' m='{"k1":"v 1","k2":""}'
[all:vars]
dom=ex.org
`;

const constructed = (text: string) =>
  load({ hosts: HOSTS, "more.yml": `plugin: constructed\n${text}` }, ["hosts", "more.yml"]);

// What ansible-core 2.14 makes of the same files.
test("compose sets vars of expressions; those that fail are passed over", async () => {
  const inventory = await constructed(`compose:
  short: inventory_hostname ~ '!'
  n2: n + 1
  list: "['a', env]"
  literal: "'2200'"
  bad: nope + 1
  of_all: dom
  not_yet: n2
`);
  expect(varsOf(inventory, "w1")).toMatchObject({
    short: "w1!",
    n2: "2",
    list: ["a", "prod"],
    literal: "2200",
  });
  const { d1 } = { d1: varsOf(inventory, "d1") };
  for (const name of ["n2", "bad", "of_all", "not_yet"]) expect(d1).not.toHaveProperty(name);
});

test("groups take the hosts for which a condition holds", async () => {
  const inventory = await constructed(`compose:
  twice: n * 2
groups:
  prod: env == 'prod'
  big: n is defined and n > 1
  "odd name": env == 'dev'
  composed: twice is defined
  nobody: nothere
  named: inventory_hostname.startswith('w') and 'web' in group_names
`);
  expect(groupsOf(inventory)).toMatchObject({
    prod: ["w1", "d1"],
    big: ["w2"],
    odd_name: ["w2"],
    composed: ["w1", "w2"],
    named: ["w1", "w2"],
  });
  expect(inventory.groups.has("nobody")).toBe(false);
});

test("keyed_groups makes groups of values: texts, lists and dicts", async () => {
  const inventory = await constructed(`keyed_groups:
  - {key: env, prefix: env}
  - {key: env, separator: ""}
  - {key: tags, prefix: tag, parent_group: all_tags}
  - {key: m, prefix: mm}
  - {key: m, prefix: cut, trailing_separator: false}
  - {key: "role | default('')", prefix: role, default_value: none}
  - {key: "role | default('')", parent_group: "{{ env }}_roles"}
  - {key: missing, prefix: miss}
`);
  const groups = groupsOf(inventory);
  expect(groups).toMatchObject({
    env_prod: ["w1", "d1"],
    dev: ["w2"],
    tag_x: ["d1"],
    tag_y_z: ["d1"],
    mm_k1_v_1: ["d1"],
    mm_k2_: ["d1"],
    cut_k2: ["d1"],
    role_none: ["d1"],
    _front: ["w1"],
    prod_roles: ["w1"],
  });
  expect(inventory.groups.get("all_tags")?.children).toEqual(["tag_x", "tag_y_z"]);
  expect(Object.keys(groups).filter((name) => name.startsWith("miss"))).toEqual([]);
});

test("leading_separator: false, and extra vars where the file asks for them", async () => {
  const text =
    "plugin: ansible.builtin.constructed\nleading_separator: false\nuse_extra_vars: true\nkeyed_groups: [{key: env}]\n";
  const source = { file: "--extra-vars", scope: "extra vars" };
  const extraVars = new Map([["env", { value: "test", source, directory: "/" }]]);
  const inventory = await load({ hosts: HOSTS, "more.yml": text }, ["hosts", "more.yml"], { extraVars });
  expect(groupsOf(inventory)).toMatchObject({ test: ["w1", "w2", "d1"] });
});

test("a strict file, and what it cannot say, are refused", async () => {
  expect(await failure(constructed("strict: true\ncompose: {a: nope}\n"))).toMatch(
    /^INVENTORY_INVALID more\.yml cannot set a for host w1: .*'nope' is undefined/,
  );
  expect(await failure(constructed("regions: [x]\n"))).toMatch(/more\.yml:2:1 .* has no option "regions"/);
  expect(await failure(constructed("use_vars_plugins: true\n"))).toMatch(/is not supported/);
  expect(await failure(constructed("keyed_groups: [{prefix: x}]\n"))).toMatch(/needs a key/);
  expect(await failure(constructed("keyed_groups: [{key: n}]\n"))).toMatch(/must be text, a list or a dict/);
});

test("Ansible leaves .ini files in directories out; Volley reads them", async () => {
  const files = { "dir/hosts": "a\n", "dir/more.ini": "b\n" };
  expect([...(await load(files, ["dir"])).hosts.keys()]).toEqual(["a", "b"]);
  expect([...(await load(files, ["dir"], { asAnsible: true })).hosts.keys()]).toEqual(["a"]);
});

test("localhost as a source names no file", async () => {
  const inventory = await load({ hosts: "a\n" }, ["localhost"]);
  expect([...inventory.hosts.keys()]).toEqual([]);
  expect(inventory.implicit?.get("localhost")?.connection.connection).toBe("local");
});

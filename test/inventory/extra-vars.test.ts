import { expect, test } from "vitest";
import { isSecret } from "../../src/core/secret.ts";
import { Float } from "../../src/core/values/value.ts";
import { addExtraVars, readExtraVars } from "../../src/inventory/extra-vars.ts";
import { createSecretStore } from "../../src/vars/secrets/store.ts";
import { failure, load, project, varsOf } from "./project.ts";

async function read(texts: readonly string[], files: Readonly<Record<string, string>> = {}) {
  const cwd = await project(files);
  return await readExtraVars(texts, { cwd, secrets: createSecretStore({ cwd, env: {} }) });
}

async function valuesOf(texts: readonly string[], files?: Readonly<Record<string, string>>) {
  const { entries } = await read(texts, files);
  return Object.fromEntries([...entries].map(([name, { value }]) => [name, value]));
}

test("words, JSON, YAML and files, later ones over earlier ones", async () => {
  const files = { "vars.yml": "---\nn: 2\nfloat: 1.0\nlist: [a]\n", "vars.json": '{"n": 3, "b": true}' };
  expect(await valuesOf(["n=1 s='two words' t={{ n }}"])).toEqual({ n: "1", s: "two words", t: "{{ n }}" });
  expect(await valuesOf(['{"n": 1, "t": "{{ n }}"}'])).toEqual({ n: 1, t: "{{ n }}" });
  expect(await valuesOf(["{n: 1, yes_no: yes}"])).toEqual({ n: 1, yes_no: true });
  expect(await valuesOf(["n=1", "@vars.yml", "@vars.json", ""], files)).toEqual({
    n: 3,
    b: true,
    float: new Float(1),
    list: ["a"],
  });
});

test("a value may be a secret, and every var knows its place", async () => {
  const { entries } = await read(["@vars.yml"], {
    "vars.yml": "a: 1\npassword: !secret { env: PASSWORD }\n",
  });
  expect(isSecret(entries.get("password")?.value)).toBe(true);
  expect(entries.get("password")?.source).toEqual({ file: "vars.yml", line: 2, scope: "extra vars" });
});

test("words without a value are left out with a warning", async () => {
  const { entries, warnings } = await read(["a=1 b"]);
  expect([...entries.keys()]).toEqual(["a"]);
  expect(warnings).toEqual(["--extra-vars: b is no key=value, and is left out"]);
});

test("what cannot be read is refused", async () => {
  expect(await failure(read(["@none.yml"]))).toBe(
    "USAGE --extra-vars @none.yml cannot be read: there is no such file",
  );
  expect(await failure(read(["./vars.yml"]))).toMatch(/USAGE .* named with @ before it: @\.\/vars\.yml/);
  expect(await failure(read(["[1, 2]"]))).toMatch(/takes names with values/);
  expect(await failure(read(["@l.yml"], { "l.yml": "- a\n" }))).toMatch(/^USAGE l\.yml:1/);
  expect(await failure(read(['{"a": 1']))).toMatch(/^INVENTORY_INVALID/);
});

test("extra vars win over all vars of the inventory, and say how hosts are reached", async () => {
  const { entries } = await read(["port=1 who=root ansible_host=10.0.0.9"]);
  const inventory = await load(
    {
      inventory: "web1 port=2 ansible_user='{{ who }}' ansible_host=10.0.0.1\n",
      "group_vars/all.yml": "port: 3\n",
      "host_vars/web1.yml": "port: 4\n",
    },
    ["inventory"],
    { extraVars: entries },
  );
  expect(varsOf(inventory, "web1")).toMatchObject({ port: "1", who: "root" });
  expect(inventory.hosts.get("web1")?.connection).toMatchObject({ address: "10.0.0.9", user: "root" });
});

test("an inventory that is a value gets them too", async () => {
  const { entries } = await read(["port=1 ansible_connection=local ansible_port=2222"]);
  const inventory = addExtraVars(await load({ inventory: "web1 port=2 ansible_user=ann\n" }), entries);
  const host = inventory.hosts.get("web1")!;
  expect(host.vars).toMatchObject({ port: "1" });
  expect(host.sources.port).toEqual({ file: "--extra-vars", scope: "extra vars" });
  expect(host.connection).toMatchObject({ user: "ann", port: 2222, connection: "local", address: "web1" });
});

test("this machine, not in the inventory, has the vars of all and its own", async () => {
  const { entries } = await read(["x=1"]);
  const inventory = await load(
    {
      inventory: "web1\n",
      "group_vars/all.yml": "of_all: 1\n",
      "host_vars/localhost.yml": "own: 2\nx: 3\n",
    },
    ["inventory"],
    { extraVars: entries },
  );
  expect(inventory.hosts.has("localhost")).toBe(false);
  expect(inventory.implicit?.get("localhost")).toMatchObject({
    connection: { connection: "local" },
    vars: { ansible_connection: "local", of_all: 1, own: 2, x: "1" },
    groups: [],
  });
  expect((await load({ inventory: "localhost\n" })).implicit?.has("localhost")).toBe(false);
});

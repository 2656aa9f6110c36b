import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import type { Inventory } from "../../src/core/inventory.ts";
import { parseJson, writeJson } from "../../src/core/values/value.ts";
import { formatInventoryHost, inventoryToJson } from "../../src/inventory/format.ts";
import { readValue } from "../../src/inventory/ini.ts";
import { loadInventory } from "../../src/inventory/load.ts";
import { limitHosts, selectHosts } from "../../src/inventory/select.ts";
import { createSecretStore } from "../../src/vars/secrets/store.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { CONTROL, must, mustEqual, orRefusal, orRefusalOf } from "./lib/judge.ts";
import { type Material, mutate } from "./lib/mutate.ts";
import { mutateJson } from "./lib/mutate-json.ts";
import type { Draw } from "./lib/random.ts";

const CODES = ["INVENTORY_INVALID", "INVENTORY_MISSING", "SECRET_FAILED"];
const YAML_TOKENS = [
  "hosts:",
  "children:",
  "vars:",
  "all:",
  "ungrouped",
  "\n  ",
  "\n- ",
  "- ",
  ": ",
  "? ",
  "&a",
  "*a",
  "<<: *a",
  "<<",
  "!!str",
  "!!binary",
  "!!set {}",
  "!vault |\n",
  "!secret env:X",
  "!secret",
  "!unsafe",
  "|\n",
  ">-\n",
  "%TAG ! x\n",
  "%YAML 1.2\n",
  "---\n",
  "...\n",
  "[1:99999999]",
  "[a:z]",
  ".inf",
  "0o17",
  "1_000",
  "ansible_host: ",
  "ansible_port: ",
  "ansible_become: ",
  "ansible_user: ",
  "ansible_group_priority: ",
  "{{ a }}",
  "{{ a.constructor }}",
  "$ANSIBLE_VAULT;1.1;AES256\n",
];
const INI_TOKENS = [
  "[web]",
  "[web:vars]",
  "[web:children]",
  "[:vars]",
  "ansible_port=",
  "ansible_become=",
  "ansible_group_priority=",
  "a=",
  "[1:3]",
  "[01:3]",
  "{'a': ",
  "{'toString': 1}",
  "(1,",
  "'''",
  '"""',
  "\\x41",
  "0x",
  "1_0",
  "True",
  "\n",
];

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-fuzz-"));
  mkdirSync(join(directory, "group_vars"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function load(file: string, text: Buffer): Promise<Inventory | undefined> {
  writeFileSync(join(directory, file), text);
  try {
    const secrets = createSecretStore({ cwd: directory, env: {} });
    return await orRefusalOf(CODES, () =>
      loadInventory([file === "group_vars/all.yml" ? "web1," : file], {
        cwd: directory,
        playbookDirectory: directory,
        loadModule: () => Promise.reject(new Error("nothing is to be loaded")),
        secrets,
      }),
    );
  } finally {
    rmSync(join(directory, file), { force: true });
    must(readdirSync(directory).join() === "group_vars", "something has been written");
  }
}

function mustBeSound(inventory: Inventory | undefined): void {
  if (inventory === undefined) return;
  mustEqual(
    selectHosts(inventory, "all")
      .map(({ name }) => name)
      .sort(),
    [...inventory.hosts.keys()].sort(),
    "all hosts",
  );
  for (const host of [...inventory.hosts.values()].slice(0, 20)) {
    must(!CONTROL.test(host.name) && !/[\s/]/.test(host.name), `a host named ${JSON.stringify(host.name)}`);
    must(Object.getPrototypeOf(host.vars) === Object.prototype, "vars with another prototype");
    must(
      selectHosts(inventory, host.name).some(({ name }) => name === host.name),
      `a host that its name ${host.name} does not select`,
    );
    const { port, address, user, becomeMethod } = host.connection;
    must(port === undefined || (Number.isInteger(port) && port > 0 && port < 65_536), `port ${port}`);
    must(!CONTROL.test(address), "an address with control characters");
    for (const text of [user, becomeMethod]) must(text === undefined || typeof text === "string", "no text");
    formatInventoryHost(host, { color: false, columns: 80 });
  }
  JSON.stringify(inventoryToJson(inventory, [...inventory.hosts.values()]));
}

const mutateScript = (draw: Draw, { corpus }: Material): Buffer =>
  Buffer.from(JSON.stringify(mutateJson(draw, JSON.parse(draw.pick(corpus.slice(0, 2)).toString()))) ?? "");

for (const [corpus, file, tokens] of [
  ["inventory-yaml", "hosts.yml", YAML_TOKENS],
  ["inventory-ini", "hosts.ini", INI_TOKENS],
  ["inventory-ini", "hosts", [...INI_TOKENS, ...YAML_TOKENS]],
  ["vars", "group_vars/all.yml", YAML_TOKENS],
] as const) {
  test(
    `an inventory in ${file} of what ${corpus} holds`,
    () =>
      fuzz({
        corpus,
        inputs: 200,
        tokens,
        synchronous: false,
        check: async (bytes) => mustBeSound(await load(file, bytes)),
      }),
    FUZZ_TIMEOUT_MS,
  );
}

test(
  "an inventory in JSON, as programs print it",
  () =>
    fuzz({
      corpus: "inventory-json",
      inputs: 200,
      tokens: ['"_meta":{}', '"hostvars":', '"__proto__":', '"__ansible_vault":"x"', '"hosts":'],
      synchronous: false,
      make: (draw, material) => (draw.chance(0.6) ? mutateScript(draw, material) : mutate(draw, material)),
      check: async (bytes) => mustBeSound(await load("hosts.json", bytes)),
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "patterns: hosts of the inventory, each once",
  async () => {
    const inventory = (await load(
      "hosts",
      Buffer.from("[web]\nweb[01:20]\n[prod]\nweb[1:3]\n[db]\ndb-[a:c]\n2001:db8::1\n"),
    ))!;
    const names = new Set([...inventory.hosts.keys(), "localhost", "127.0.0.1", "::1"]);
    await fuzz({
      corpus: "patterns",
      inputs: 100,
      tokens: ["web", "~", "[0:1]", "[-1]", "[01-20/2]", ":&", ":!", "&", "(?:", "\\d", "[!a]", "[z-a]", "@"],
      check: (bytes) => {
        const pattern = bytes.toString();
        const found = orRefusal(["PATTERN_UNKNOWN"], () => selectHosts(inventory, pattern));
        if (found === undefined) return;
        must(
          found.every(({ name }) => names.has(name)) && new Set(found).size === found.length,
          "other hosts, or one twice",
        );
        if (!/(^|,)@/.test(pattern))
          mustEqual(
            limitHosts(found, inventory, pattern, { cwd: directory }).map(({ name }) => name),
            found.map(({ name }) => name),
            "limited to the same",
          );
      },
    });
  },
  FUZZ_TIMEOUT_MS,
);

test(
  "Python literals: a value of JSON's kinds, or the text itself",
  () =>
    fuzz({
      corpus: "literals",
      inputs: 500,
      tokens: INI_TOKENS,
      check: (bytes) => {
        const text = bytes.toString();
        const value = readValue(text);
        if (value === text) return;
        must(value !== undefined && typeof value !== "function", "no value");
        const json = writeJson(value);
        mustEqual(writeJson(parseJson(json)), json, "a value that JSON does not have");
      },
    }),
  FUZZ_TIMEOUT_MS,
);

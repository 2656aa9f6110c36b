import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, it } from "vitest";
import { hostsToWorkOn } from "../../src/cli/fan-out.ts";
import { concernedBy, openPlan } from "../../src/controller/prepare/plan.ts";
import { loadInventoryModule, readInventory } from "../../src/controller/prepare/read.ts";
import { defineInventory, type Inventory } from "../../src/core/inventory.ts";
import type { PlayDefinition } from "../../src/core/playbook.ts";
import { type Secret, secret, secretSource } from "../../src/core/secret.ts";
import { formatInventoryHost } from "../../src/inventory/format.ts";
import { loadInventory } from "../../src/inventory/load.ts";
import type { SecretStoreOptions } from "../../src/vars/secrets/sources.ts";
import { createSecretStore, type SecretStore } from "../../src/vars/secrets/store.ts";
import { inYaml, VAULT } from "../vars/secrets/vault-fixtures.ts";
import { type Files, failure, load, loadModule, project, varsOf } from "./project.ts";

function storeOf(options: Partial<SecretStoreOptions> = {}): SecretStore {
  return createSecretStore({ cwd: "/", env: { PATH: process.env.PATH }, ...options });
}

/** The vars of hosts as a run has them, only these taking part. */
async function open(
  inventory: Inventory,
  names: readonly string[],
  store: SecretStore,
): Promise<Record<string, unknown>> {
  const hosts = names.map((name) => inventory.hosts.get(name)!);
  const plan = await openPlan({ plays: [], hosts, groups: {}, inventory }, store);
  return Object.fromEntries(plan.hosts.map(({ name, vars }) => [name, vars]));
}

const HOSTS = "web:\n  hosts: {web1: }\ndb:\n  hosts: {db1: }\n";

describe("secrets in YAML", () => {
  const files: Files = {
    "hosts.yml": `${HOSTS}  vars:\n    from_hosts: !secret env:A\n`,
    "group_vars/db.yml": `
password: !secret env:PW
spelled_out: !secret { env: PW }
key: !secret file:secrets/key
list: [!secret 'command:echo "from a command"', plain]
argv: !secret { command: [echo, two, words] }
token: !secret prompt:Vault token
${inYaml("inline", VAULT.inline)}`,
    "secrets/key": "from a file\n",
    pw: "correct horse",
  };

  it("are had when a host takes part, relative to the inventory", async () => {
    const cwd = await project(files);
    const asked: string[] = [];
    const store = storeOf({
      cwd,
      env: { PATH: process.env.PATH, PW: "hunter2", A: "aaaa" },
      vaultPasswordFiles: ["pw"],
      ask: async (prompt) => {
        asked.push(prompt);
        return "tok";
      },
    });
    const inventory = await loadInventory(["hosts.yml"], { cwd, loadModule, secrets: store });
    expect(await open(inventory, ["web1"], store)).toEqual({ web1: {} });
    expect(asked).toEqual([]);
    expect(await open(inventory, ["web1", "db1"], store)).toEqual({
      web1: {},
      db1: {
        from_hosts: "aaaa",
        password: "hunter2",
        spelled_out: "hunter2",
        key: "from a file",
        list: ["from a command", "plain"],
        argv: "two words",
        token: "tok",
        inline: "inline-s3cret é😀",
      },
    });
    expect(asked).toEqual(["Vault token: "]);
  });

  it("that cannot be had name var, host, file and line", async () => {
    const inventory = await load(files);
    expect(
      await failure(open(inventory, ["db1"], storeOf({ env: { A: "aaaa", PATH: process.env.PATH } }))),
    ).toBe(
      "SECRET_FAILED group_vars/db.yml:2:19 password of host db1 cannot be had: the environment variable PW is not set",
    );
  });

  it.each(["!secret", "!secret env", "!secret vault:x", "!secret {env: A, file: b}", "!secret {env: [A]}"])(
    "%s is refused",
    async (written) => {
      expect(await failure(load({ "hosts.yml": HOSTS, "group_vars/db.yml": `x: ${written}\n` }))).toMatch(
        /^INVENTORY_INVALID group_vars\/db.yml:1:\d+ !secret must say where the secret is to be had$/,
      );
    },
  );

  it("are not for what is needed to list hosts", async () => {
    expect(
      await failure(load({ "hosts.yml": "web:\n  hosts:\n    a:\n      ansible_user: !secret env:A\n" })),
    ).toBe(
      "INVENTORY_INVALID hosts.yml:4 ansible_user of host a: a secret from env:A cannot be used here: hosts are listed without asking for secrets",
    );
  });
});

describe("secrets in TypeScript", () => {
  it("know the line they were written on", async () => {
    const cwd = await project({
      "package.json": "{}",
      "inventory.ts": `import { defineInventory, secret } from "volley";
export default defineInventory({
  groups: {
    db: {
      hosts: { db1: {} },
      vars: {
        db: { password: secret.env("VOLLEY_NO_SUCH") },
        key: secret.file("key"),
      },
    },
  },
});
`,
    });
    const inventory = await loadInventory(["inventory.ts"], { cwd, loadModule: loadInventoryModule });
    expect(secretSource(varsOf(inventory, "db1").key as Secret)).toEqual({
      kind: "file",
      path: "key",
      directory: cwd,
    });
    expect(await failure(open(inventory, ["db1"], storeOf()))).toContain(
      "inventory.ts:7:32 db of host db1 cannot be had: the environment variable VOLLEY_NO_SUCH is not set",
    );
  });

  it("stand anywhere in vars", async () => {
    const declared = defineInventory({ hosts: { a: { vars: { list: [{ deep: secret.env("PW") }] } } } });
    const inventory = await load({ "hosts.ts": "" }, ["hosts.ts"], { loadModule: async () => declared });
    expect(await open(inventory, ["a"], storeOf({ env: { PW: "pw" } }))).toEqual({
      a: { list: [{ deep: "pw" }] },
    });
  });
});

describe("encrypted files", () => {
  const files: Files = {
    "hosts.yml": HOSTS,
    "group_vars/db.yml": VAULT.whole,
    "host_vars/db1/secrets.yml": `${VAULT.wholeOfProd}`,
    "host_vars/db1/plain.yml": "flag: off\nextra: 1\n",
    pw: "correct horse",
    pw2: "other pass",
  };

  it("of Ansible Vault lie among the others", async () => {
    const cwd = await project(files);
    const store = storeOf({ cwd, vaultIds: ["pw", "prod@pw2"] });
    const inventory = await loadInventory(["hosts.yml"], { cwd, loadModule, secrets: store });
    expect((await open(inventory, ["db1"], store)).db1).toEqual({
      db_password: "hunter2-whole",
      db_port: 5432,
      nested: [{ key: "deep-secret-value" }],
      flag: true,
      pin: 123_456,
      extra: 1,
    });
    expect(varsOf(inventory, "db1").flag).toBe(true);
  });

  it("that stay closed matter only to hosts whose vars they hold", async () => {
    const cwd = await project(files);
    const store = storeOf({ cwd, vaultPasswordFiles: ["pw"] });
    const inventory = await loadInventory(["hosts.yml"], { cwd, loadModule, secrets: store });
    expect(await open(inventory, ["web1"], store)).toEqual({ web1: {} });
    expect(formatInventoryHost(inventory.hosts.get("db1")!, { color: false, columns: 200 })).toContain(
      "not shown    host_vars/db1/secrets.yml: this file cannot be read: it is encrypted with Ansible Vault",
    );
    expect(await failure(open(inventory, ["db1"], store))).toBe(
      "SECRET_FAILED host_vars/db1/secrets.yml this file cannot be read: it is encrypted with Ansible Vault for the vault id prod, and no password that was given opens it",
    );
  });

  it("are asked for only where hosts take part whose vars they hold, or a play reads those of others", async () => {
    const cwd = await project({ ...files, "group_vars/all/secret.yml": VAULT.whole });
    const asked: string[] = [];
    const read = async (play: Partial<PlayDefinition>, limit?: string): Promise<string> => {
      const secrets = storeOf({
        cwd,
        vaultIds: ["pw", "prod@prompt"],
        ask: async (prompt) => {
          asked.push(prompt);
          return "other pass";
        },
      });
      const playbook = { plays: [{ name: "", hosts: "all", roles: [], ...play }] };
      const concerned = concernedBy(playbook, limit);
      const { select } = await readInventory("hosts.yml", {
        cwd,
        playbookDirectory: cwd,
        secrets,
        concerned,
      });
      const [db] = select("db1");
      return db?.locked?.[0]?.message ?? "open";
    };
    expect(await read({}, "web")).toBe("this file was not opened: its hosts take no part");
    expect(await read({ hosts: "web:!db" })).toBe("this file was not opened: its hosts take no part");
    expect(asked).toEqual([]);
    expect(await read({ hosts: "web", hostVars: ["extra"] })).toBe("open");
    expect(await read({}, "d*")).toBe("open");
    expect(asked).toEqual(["Vault password (prod): ", "Vault password (prod): "]);
  });

  it("keep a command from hosts that may be reached otherwise than is known", async () => {
    const cwd = await project(files);
    const secrets = storeOf({ cwd, vaultPasswordFiles: ["pw"] });
    const flags = { inventory: [join(cwd, "hosts.yml")] };
    expect((await hostsToWorkOn("web", flags, secrets)).map(({ name }) => name)).toEqual(["web1"]);
    expect(await failure(hostsToWorkOn("db", flags, secrets))).toMatch(
      /^SECRET_FAILED .*host_vars\/db1\/secrets\.yml this file cannot be read: it is encrypted/,
    );
  });

  it("may be the inventory itself", async () => {
    const cwd = await project({ hosts: VAULT.whole, pw: "correct horse" });
    const said = await failure(
      loadInventory(["hosts"], { cwd, loadModule, secrets: storeOf({ cwd, vaultPasswordFiles: ["pw"] }) }),
    );
    // Volley decrypted the file; only its content is no inventory.
    expect(said).toContain("db_password");
    expect(said).not.toContain("hunter2");
  });

  it("of age lie over what lies beside them in clear", async () => {
    const cwd = await project({
      "hosts.yml": HOSTS,
      "group_vars/db.yml": "password: none\nport: 5432\n",
      "group_vars/web/plain.yml": "a: 1\n",
    });
    const identity = await generateX25519Identity();
    const encrypter = new Encrypter();
    encrypter.addRecipient(await identityToRecipient(identity));
    const write = async (path: string, text: string): Promise<void> =>
      writeFile(join(cwd, path), await encrypter.encrypt(text));
    await mkdir(join(cwd, "host_vars"));
    await write("group_vars/db.yml.age", "password: hunter2-age\n");
    await write("group_vars/web/secrets.json.age", '{"b": "bbbb"}');
    await write("host_vars/web1.age", "c: cccc\n");
    await writeFile(join(cwd, "key"), `${identity}\n`);
    const store = storeOf({ cwd, ageIdentityFiles: ["key"] });
    const inventory = await loadInventory(["hosts.yml"], { cwd, loadModule, secrets: store });
    expect(await open(inventory, ["db1", "web1"], store)).toEqual({
      db1: { password: "hunter2-age", port: 5432 },
      web1: { a: 1, b: "bbbb", c: "cccc" },
    });
    expect(inventory.hosts.get("db1")?.sources.password).toMatchObject({
      file: "group_vars/db.yml.age",
      line: 1,
    });
  });

  it("can say how a host is reached", async () => {
    const cwd = await project({ "hosts.yml": HOSTS });
    const identity = await generateX25519Identity();
    const encrypter = new Encrypter();
    encrypter.addRecipient(await identityToRecipient(identity));
    await mkdir(join(cwd, "group_vars"));
    await writeFile(
      join(cwd, "group_vars/all.yml.age"),
      await encrypter.encrypt(
        "ansible_user: deploy\nansible_host: '{{ prefix }}.example.org'\nprefix: hosts\nansible_port: 2222\n",
      ),
    );
    await writeFile(join(cwd, "key"), `${identity}\n`);
    const secrets = storeOf({ cwd, ageIdentityFiles: ["key"] });
    const inventory = await loadInventory(["hosts.yml"], { cwd, loadModule, secrets });
    expect(inventory.hosts.get("web1")?.connection).toMatchObject({
      user: "deploy",
      address: "hosts.example.org",
      port: 2222,
    });
  });
});

it("a host is shown without its secrets", async () => {
  const cwd = await project({
    "hosts.yml": HOSTS,
    "group_vars/db.yml": `a: !secret env:A
nested: {inner: [!secret "prompt:Vault token"], password: hunter2222, port: 1}
dbPassword: hunter2222
api_key: hunter2222
tokens: 3
${inYaml("inline", VAULT.inline)}`,
    "host_vars/db1.yml": VAULT.whole,
    pw: "correct horse",
  });
  const secrets = storeOf({ cwd, vaultPasswordFiles: ["pw"] });
  const inventory = await loadInventory(["hosts.yml"], { cwd, loadModule, secrets });
  const text = formatInventoryHost(inventory.hosts.get("db1")!, { color: false, columns: 100 });
  expect(text).not.toContain("hunter2");
  expect(text).not.toContain("s3cret");
  expect(text).not.toContain("deep-secret");
  expect(text).not.toContain("123456");
  expect(text).toMatch(/a +secret from env:A$/m);
  expect(text).toMatch(/inner: \[secret from prompt:Vault token\]$/m);
  expect(text).toMatch(/password: •+$/m);
  expect(text).toMatch(/dbPassword +•+$/m);
  expect(text).toMatch(/api_key +•+$/m);
  expect(text).toMatch(/tokens +3$/m);
  expect(text).toMatch(/inline +secret from Ansible Vault$/m);
  expect(text).toMatch(/db_password +(•+|secret from vault:host_vars\/db1.yml)$/m);
  expect(text).toMatch(/- key: secret from vault:host_vars\/db1.yml$/m);
  expect(JSON.stringify(inventory.hosts.get("db1")!.vars)).not.toMatch(/hunter2-whole|deep-secret|123456/);
});

it("a secret cannot stand in a play", async () => {
  const play = { name: "Play", hosts: "all", roles: [], vars: { a: secret.env("A") } };
  const inventory = await load({ "hosts.yml": HOSTS });
  const plan = { plays: [{ index: 0, play, hosts: [] }], hosts: [], groups: {}, inventory };
  expect(await failure(openPlan(plan, storeOf()))).toBe(
    'PLAYBOOK_INVALID play "Play": a secret cannot stand in its vars',
  );
});

import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { describeSecret, type Secret, secret } from "../../../src/core/secret.ts";
import { Data } from "../../../src/core/values/value.ts";
import type { SecretStoreOptions } from "../../../src/vars/secrets/sources.ts";
import { createSecretStore, resolveVars } from "../../../src/vars/secrets/store.ts";
import { failure } from "../../inventory/project.ts";

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "volley-secret-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

async function read(one: Secret, options: Partial<SecretStoreOptions> = {}): Promise<unknown> {
  const store = createSecretStore({ cwd: await scratch(), ...options });
  return store.value(one, "db_password of host db1", { file: "group_vars/db.yml", line: 3 });
}

test("an environment variable", async () => {
  expect(await read(secret.env("PW"), { env: { PW: "hunter2\n" } })).toBe("hunter2\n");
  expect(await failure(read(secret.env("PW"), { env: {} }))).toBe(
    "SECRET_FAILED group_vars/db.yml:3 db_password of host db1 cannot be had: the environment variable PW is not set",
  );
  expect(await failure(read(secret.env("PW"), { env: { PW: "" } }))).toContain("PW is empty");
});

test("a file: one line without its end, several as they are", async () => {
  const cwd = await scratch();
  await writeFile(join(cwd, "one"), "hunter2\r\n");
  await writeFile(join(cwd, "many"), "-----BEGIN\nkey\n-----END\n");
  expect(await read(secret.file("one"), { cwd })).toBe("hunter2");
  expect(await read(secret.file("~/many"), { env: { HOME: cwd } })).toBe("-----BEGIN\nkey\n-----END\n");
  expect(await failure(read(secret.file("none"), { cwd }))).toContain(
    "db_password of host db1 cannot be had: the file none cannot be read: there is no such file",
  );
});

test("a command, run once however many ask, whose failure repeats nothing it printed", async () => {
  const cwd = await scratch();
  const store = createSecretStore({ cwd });
  const count = secret.command("echo x >> runs; echo hunter2");
  const ask = (name: string): Promise<unknown> => store.value(count, name, undefined);
  expect(await Promise.all([ask("a"), ask("b"), ask("c")])).toEqual(["hunter2", "hunter2", "hunter2"]);
  expect(readFileSync(join(cwd, "runs"), "utf8")).toBe("x\n");
  expect(await read(secret.command(["printf", "%s", "a b"]))).toBe("a b");
  const refused = await failure(read(secret.command("echo hunter2; echo locked >&2; exit 4")));
  expect(refused).toBe(
    "SECRET_FAILED group_vars/db.yml:3 db_password of host db1 cannot be had: the command exited with code 4",
  );
  expect(await failure(read(secret.command("true")))).toContain("the command printed nothing");
  expect(await failure(read(secret.command(["volley-no-such-program"])))).toContain(
    "volley-no-such-program was not found",
  );
});

test("questions come one at a time, each once", async () => {
  const asked: string[] = [];
  let open = 0;
  const ask = async (prompt: string): Promise<string> => {
    expect(++open).toBe(1);
    asked.push(prompt);
    await new Promise((resolve) => setImmediate(resolve));
    open--;
    return `answer to ${prompt}`;
  };
  const store = createSecretStore({ cwd: "/", ask });
  const values = ["Vault token", "PIN", "Vault token"].map((prompt) =>
    store.value(secret.prompt(prompt), "x", undefined),
  );
  expect(await Promise.all(values)).toEqual([
    "answer to Vault token: ",
    "answer to PIN: ",
    "answer to Vault token: ",
  ]);
  expect(asked).toEqual(["Vault token: ", "PIN: "]);
  expect(await failure(read(secret.prompt("PIN")))).toContain('nobody answered "PIN"');
});

test("a secret cannot become part of a text, and shows where it is from and nothing else", () => {
  const one = secret.env("PW");
  expect(() => `postgres://${String(one)}@db`).toThrow("the secret from env:PW was put into a text");
  expect(JSON.stringify({ a: one })).toBe('{"a":"secret from env:PW"}');
  expect(inspect({ a: one })).toBe("{ a: <secret from env:PW> }");
  expect(describeSecret(secret.command(["pass", "show", "x"]))).toBe("secret from command:pass show x");
  expect(describeSecret(secret.command(["pass", "show", "a b"]))).toBe("secret from command:pass show 'a b'");
  expect(() => secret.env("")).toThrow("secret.env needs a text that is not empty");
});

test("vars get values at any depth, and say what to mask", async () => {
  const env = { PW: "hunter2222", TOKEN: "{{ not a template }}", PIN: "12" };
  const vars = {
    db: { users: [{ name: "app", password: secret.env("PW") }] },
    token: secret.env("TOKEN"),
    pin: secret.env("PIN"),
    plain: "x",
  };
  const owner = { name: "host db1", locate: () => undefined };
  const resolved = await resolveVars(vars, owner, createSecretStore({ cwd: "/", env }));
  expect(resolved.vars).toEqual({
    db: { users: [{ name: "app", password: "hunter2222" }] },
    token: new Data("{{ not a template }}"),
    pin: "12",
    plain: "x",
  });
  expect(resolved.secretTexts).toEqual({ db: ["hunter2222"], token: ["{{ not a template }}"], pin: ["12"] });
  expect(resolved.tooShort.map(({ name }) => name)).toEqual(["pin"]);
});

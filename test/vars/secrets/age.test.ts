import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { armor, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { expect, onTestFinished, test } from "vitest";
import { createSecretStore } from "../../../src/vars/secrets/store.ts";
import { failure } from "../../inventory/project.ts";

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "volley-age-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

async function encryptFor(identity: string, text: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(identity));
  return encrypter.encrypt(text);
}

function encryptWith(passphrase: string, text: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(8);
  return encrypter.encrypt(text);
}

const TEXT = "db_password: hunter2-age\n";

test("opens a file for an identity, armored or not, wherever the identity is named", async () => {
  const cwd = await scratch();
  const identity = await generateX25519Identity();
  await writeFile(join(cwd, "key"), `# created: now\n# public key: age1…\n${identity}\n`);
  const content = await encryptFor(identity, TEXT);
  const open = (bytes: Uint8Array, options: object): Promise<string> =>
    createSecretStore({ cwd, env: {}, ...options }).openAgeFile(bytes, "web.yml.age");
  expect(await open(content, { ageIdentityFiles: ["key"] })).toBe(TEXT);
  expect(await open(Buffer.from(armor.encode(content)), { ageIdentityFiles: ["key"] })).toBe(TEXT);
  expect(await open(content, { env: { VOLLEY_AGE_IDENTITY: "key" } })).toBe(TEXT);
  expect(await open(content, { env: { SOPS_AGE_KEY_FILE: join(cwd, "key") } })).toBe(TEXT);
});

test("finds the identity in the configuration directory", async () => {
  const home = await scratch();
  const identity = await generateX25519Identity();
  const { mkdir } = await import("node:fs/promises");
  await mkdir(join(home, "volley"));
  await writeFile(join(home, "volley", "age.key"), `${identity}\n`);
  const store = createSecretStore({ cwd: "/", env: { XDG_CONFIG_HOME: home } });
  expect(await store.openAgeFile(await encryptFor(identity, TEXT), "a.age")).toBe(TEXT);
});

test("asks for a passphrase once for files that share it, and for that of an identity", async () => {
  const cwd = await scratch();
  const asked: string[] = [];
  const ask = async (prompt: string): Promise<string> => {
    asked.push(prompt);
    return "open sesame";
  };
  const store = createSecretStore({ cwd, env: {}, ask });
  expect(await store.openAgeFile(await encryptWith("open sesame", TEXT), "a.age")).toBe(TEXT);
  expect(await store.openAgeFile(await encryptWith("open sesame", "b"), "b.age")).toBe("b");
  expect(asked).toEqual(["Passphrase of a.age: "]);

  const identity = await generateX25519Identity();
  await writeFile(join(cwd, "key.age"), await encryptWith("open sesame", `${identity}\n`));
  const locked = createSecretStore({ cwd, env: {}, ask, ageIdentityFiles: ["key.age"] });
  expect(await locked.openAgeFile(await encryptFor(identity, TEXT), "c.age")).toBe(TEXT);
  expect(asked).toEqual(["Passphrase of a.age: ", `Passphrase of ${join(cwd, "key.age")}: `]);
});

test("says what keeps a file closed", async () => {
  const cwd = await scratch();
  const identity = await generateX25519Identity();
  const content = await encryptFor(identity, TEXT);
  await writeFile(join(cwd, "other"), `${await generateX25519Identity()}\n`);
  await writeFile(
    join(cwd, "ssh"),
    "-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n-----END OPENSSH PRIVATE KEY-----\n",
  );
  await writeFile(join(cwd, "bad"), `${identity.slice(0, -3)}QQQ\n`);
  const refused = (bytes: Uint8Array, options: object): Promise<string> =>
    failure(createSecretStore({ cwd, env: { HOME: cwd }, ...options }).openAgeFile(bytes, "w.age"));
  const said = "SECRET_FAILED w.age this file cannot be read: ";
  expect(await refused(content, {})).toBe(`${said}it is encrypted with age and no identity was given`);
  expect(await refused(content, { ageIdentityFiles: ["other"] })).toBe(
    `${said}it is encrypted with age, and no identity that was given opens it`,
  );
  expect(await refused(content, { ageIdentityFiles: ["none"] })).toContain("there is no such file");
  expect(await refused(content, { ageIdentityFiles: ["ssh"] })).toContain("holds no AGE-SECRET-KEY-1");
  expect(await refused(content, { ageIdentityFiles: ["bad"] })).toContain(
    "an age identity that was given is not valid",
  );
  await writeFile(join(cwd, "key"), `${identity}\n`);
  expect(await refused(content.subarray(0, -5), { ageIdentityFiles: ["key"] })).toBe(
    `${said}it is damaged or cut off`,
  );
  expect(await refused(Buffer.from("a: 1\n"), { ageIdentityFiles: ["key"] })).toBe(
    `${said}it is not encrypted with age`,
  );
  const closed = await encryptWith("open sesame", TEXT);
  expect(await refused(closed, { ask: async () => "wrong" })).toBe(
    `${said}the passphrase does not open w.age`,
  );
  expect(await refused(closed, {})).toBe(`${said}nobody answered when asked for the passphrase of w.age`);
});

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { SecretStoreOptions } from "../../../src/vars/secrets/sources.ts";
import { createSecretStore } from "../../../src/vars/secrets/store.ts";
import { openVault } from "../../../src/vars/secrets/vault.ts";
import { parseVault, type VaultEnvelope } from "../../../src/vars/vault-format.ts";
import { failure } from "../../inventory/project.ts";
import { VAULT, WHOLE } from "./vault-fixtures.ts";

async function open(text: string, password: string): Promise<string | undefined> {
  return (await openVault(parseVault(text) as VaultEnvelope, password))?.toString("utf8");
}

/** A directory with these files, programs executable. */
async function directoryWith(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "volley-vault-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(directory, name), text);
    if (text.startsWith("#!")) await chmod(join(directory, name), 0o755);
  }
  return directory;
}

const FILES = {
  pw: "correct horse\n",
  prod: "other pass\n",
  wrong: "nope\n",
  program: "#!/bin/sh\necho correct horse\n",
  "keys-client": '#!/bin/sh\n[ "$1 $2" = "--vault-id prod" ] && echo other pass || echo correct horse\n',
  broken: "#!/bin/sh\necho the vault is sealed >&2\nexit 3\n",
};

async function openWith(text: string, options: Partial<SecretStoreOptions>): Promise<string> {
  const cwd = await directoryWith(FILES);
  return createSecretStore({ cwd, env: { PATH: process.env.PATH }, ...options }).openVaultFile(
    text,
    "vars.yml",
  );
}

test("opens what ansible-vault encrypted", async () => {
  expect(await open(VAULT.whole, "correct horse")).toBe(WHOLE);
  expect(await open(VAULT.wholeOfProd, "other pass")).toBe(WHOLE);
  expect(await open(VAULT.inline, "correct horse")).toBe("inline-s3cret é😀");
  expect(await open(VAULT.sixteenOfProd, "other pass")).toBe("exactly 16 bytes");
  expect(await open(VAULT.whole.replaceAll("\n", "\r\n"), "correct horse")).toBe(WHOLE);
  expect((parseVault(VAULT.wholeOfProd) as VaultEnvelope).label).toBe("prod");
});

test("another password opens nothing", async () => {
  expect(await open(VAULT.whole, "correct horse ")).toBeUndefined();
  expect(await open(VAULT.whole, "")).toBeUndefined();
});

test.each([
  [VAULT.whole.replace("AES256", "AES"), "it is encrypted with AES; only AES256 is supported"],
  [VAULT.whole.replace("1.1", "1.0"), "its first line is not that of Ansible Vault 1.1 or 1.2"],
  [VAULT.whole.replace(/;1\.1.*/, ""), "its first line is not that of Ansible Vault 1.1 or 1.2"],
  [VAULT.whole.slice(0, 120), "it is damaged or cut off"],
  [VAULT.whole.slice(0, 131), "it is damaged or cut off"],
  [VAULT.whole.replace(/\n\d{4}/, "\nzzzz"), "it is damaged or cut off"],
  ["$ANSIBLE_VAULT;1.1;AES256\n", "it is damaged or cut off"],
])("says what is wrong with a damaged file (%#)", (text, message) => {
  expect(parseVault(text)).toBe(message);
});

test("a changed ciphertext is refused, not decrypted to something else", async () => {
  const envelope = parseVault(VAULT.inline) as VaultEnvelope;
  envelope.ciphertext[0]! ^= 1;
  expect(await openVault(envelope, "correct horse")).toBeNull();
});

test.each<[string, Partial<SecretStoreOptions>]>([
  ["a file", { vaultPasswordFiles: ["pw"] }],
  ["a program", { vaultPasswordFiles: ["program"] }],
  ["the environment", { env: { PATH: process.env.PATH, ANSIBLE_VAULT_PASSWORD_FILE: "pw" } }],
  ["an id with a label", { vaultIds: ["dev@pw"] }],
  ["an id without", { vaultIds: ["pw"] }],
  ["several, of which one is right", { vaultPasswordFiles: ["wrong", "prod", "pw"] }],
  ["a question", { askVaultPassword: true, ask: async () => "correct horse" }],
  ["a question for an id", { vaultIds: ["dev@prompt"], ask: async () => "correct horse" }],
])("the password comes from %s", async (_where, options) => {
  expect(await openWith(VAULT.whole, options)).toBe(WHOLE);
});

test("a program whose name ends in -client is told the vault id", async () => {
  expect(await openWith(VAULT.wholeOfProd, { vaultIds: ["prod@keys-client"] })).toBe(WHOLE);
  expect(await openWith(VAULT.whole, { vaultIds: ["dev@keys-client"] })).toBe(WHOLE);
});

test("a question is asked once, and only when there is something to open", async () => {
  const asked: string[] = [];
  const ask = async (prompt: string): Promise<string> => {
    asked.push(prompt);
    return "other pass";
  };
  const store = createSecretStore({ cwd: "/", vaultIds: ["prod@prompt"], ask });
  expect(asked).toEqual([]);
  await Promise.all([
    store.openVaultFile(VAULT.wholeOfProd, "a"),
    store.openVaultFile(VAULT.sixteenOfProd, "b"),
  ]);
  await store.openVaultFile(VAULT.sixteenOfProd, "c");
  expect(asked).toEqual(["Vault password (prod): "]);
});

test("says which file no password opens, in a line that names no password", async () => {
  const refused = (options: Partial<SecretStoreOptions>, text: string = VAULT.whole): Promise<string> =>
    failure(openWith(text, options));
  expect(await refused({ vaultPasswordFiles: ["wrong"] })).toBe(
    "SECRET_FAILED vars.yml this file cannot be read: it is encrypted with Ansible Vault, and no password that was given opens it",
  );
  expect(await refused({ vaultPasswordFiles: ["wrong"] }, VAULT.wholeOfProd)).toContain(
    "for the vault id prod, and no password",
  );
  expect(await refused({})).toContain("it is encrypted with Ansible Vault and no password was given");
  expect(await refused({ vaultPasswordFiles: ["none"] })).toContain(
    "the file none cannot be read: there is no such file",
  );
  expect(await refused({ vaultPasswordFiles: ["broken"] })).toContain("broken exited with code 3");
  expect(await refused({ askVaultPassword: true })).toContain(
    "nobody answered when asked for the vault password",
  );
});

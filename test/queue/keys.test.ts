import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, describe, expect, test } from "vitest";
import { makeQueueKey, readQueueKeys } from "../../src/queue/keys.ts";
import { createSecretStore } from "../../src/vars/secrets/store.ts";
import { volleyHere } from "../e2e/lib/here.ts";

const directory = mkdtempSync(join(tmpdir(), "volley-keys-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A key encrypted with ansible-vault, password `hunter2`. */
const VAULT = `$ANSIBLE_VAULT;1.1;AES256
63623564623636313732313233643730646532356333303665363038396239333766373232343131
3037623566326337346462356464383736643137623630390a663739333865313731666537316438
66323635373737623633373261383032613366333439353733343663656265646232336236316332
3461306565326362370a363661333638666638653534303335383033376237643532323935386631
39393938666539333837346562653431636438323835343231663265663961363035326432663332
64373432666662383864383165366536633237626561393435633065346266613863323236666438
376338333831623364303765623237343461
`;

let files = 0;
/** Write a key file of its own, and return its path. */
function keyFile(content: string | Uint8Array, mode = 0o600): string {
  const path = join(directory, `key-${++files}`);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}
const hexOf = async (options: Parameters<typeof readQueueKeys>[0]): Promise<readonly string[]> =>
  (await readQueueKeys(options)).map(({ secret }) => Buffer.from(secret).toString("hex"));
const env = { HOME: directory };

describe("a key", () => {
  test("is one recognisable line, and another one each time", async () => {
    const key = makeQueueKey();
    expect(key).toMatch(/^volley-queue-key-1:[\w-]{43}$/);
    expect(makeQueueKey()).not.toBe(key);
    const [hex] = await hexOf({ file: keyFile(key), env });
    expect(hex).toBe(Buffer.from(key.slice(19), "base64url").toString("hex"));
  });

  test("is read with others, comments and empty lines from one file, in their order", async () => {
    const [one, other] = [makeQueueKey(), makeQueueKey()];
    const all = await hexOf({ file: keyFile(`# since May\r\n${one}\r\n\n  ${other}  \n`), env });
    expect(all).toEqual([
      ...(await hexOf({ file: keyFile(one) })),
      ...(await hexOf({ file: keyFile(other) })),
    ]);
  });
});

describe("the file", () => {
  test("is the named one, else that of the variable, else that of the configuration", async () => {
    const [named, variable, own, xdg] = [makeQueueKey(), makeQueueKey(), makeQueueKey(), makeQueueKey()];
    const [atNamed, atVariable] = [keyFile(named), keyFile(variable)];
    for (const [base, key] of [
      [".config", own],
      ["xdg", xdg],
    ] as const) {
      mkdirSync(join(directory, base, "volley"), { recursive: true });
      writeFileSync(join(directory, base, "volley", "queue.key"), key, { mode: 0o600 });
    }
    const hex = (key: string): string[] => [Buffer.from(key.slice(19), "base64url").toString("hex")];
    const XDG_CONFIG_HOME = join(directory, "xdg");
    const full = { ...env, XDG_CONFIG_HOME, VOLLEY_QUEUE_KEY_FILE: atVariable };
    expect(await hexOf({ file: atNamed, env: full })).toEqual(hex(named));
    expect(await hexOf({ file: `~/${atNamed.slice(directory.length + 1)}`, env })).toEqual(hex(named));
    expect(await hexOf({ env: full })).toEqual(hex(variable));
    expect(await hexOf({ env: { ...env, XDG_CONFIG_HOME } })).toEqual(hex(xdg));
    expect(await hexOf({ env })).toEqual(hex(own));
  });

  test.each([0o640, 0o604, 0o620, 0o644])(
    "is refused with the mode %o, with the line to write",
    async (mode) => {
      const file = keyFile(makeQueueKey(), mode);
      await expect(readQueueKeys({ file, env })).rejects.toMatchObject({
        code: "USAGE",
        message: `other users may read the queue key in ${file}`,
        hint: `chmod 600 ${file}`,
      });
      chmodSync(file, 0o400);
      await expect(readQueueKeys({ file, env })).resolves.toHaveLength(1);
    },
  );

  test("that is missing is told with the command that makes one", async () => {
    const file = join(directory, "none");
    await expect(readQueueKeys({ file, env })).rejects.toMatchObject({
      code: "USAGE",
      message: `the queue key file ${file} cannot be read: there is no such file`,
      hint: expect.stringMatching(/^"volley queue-key -o FILE" makes one[^;]*$/),
    });
    await expect(readQueueKeys({ env: { HOME: file } })).rejects.toMatchObject({
      message: `the queue key file ${file}/.config/volley/queue.key cannot be read: there is no such file`,
      hint: expect.stringContaining("--queue-key FILE names another"),
    });
    await expect(readQueueKeys({ file: directory, env })).rejects.toMatchObject({
      code: "USAGE",
      message: `the queue key file ${directory} cannot be read: it is a directory`,
    });
  });

  test("without a key is refused", async () => {
    for (const content of ["", "\n", "# none yet\n"])
      await expect(readQueueKeys({ file: keyFile(content), env })).rejects.toMatchObject({
        code: "USAGE",
        message: expect.stringContaining("has no queue key"),
      });
  });

  test("with a malformed key is refused by the line, without a word of the key", async () => {
    const key = makeQueueKey();
    const secret = key.slice(19);
    for (const wrong of [
      secret,
      `volley-queue-key-2:${secret}`,
      key.slice(0, -1),
      `${key}A`,
      `${key.slice(0, -5)} ${key.slice(-5)}`,
      key.replace(/.$/, "_"),
      "-----BEGIN OPENSSH PRIVATE KEY-----",
    ]) {
      const file = keyFile(`${key}\n# next\n${wrong}\n`);
      const error = await readQueueKeys({ file, env }).catch((thrown: unknown) => thrown as Error);
      expect(error).toMatchObject({ code: "USAGE", message: `line 3 of ${file} is not a queue key` });
      expect(JSON.stringify(error)).not.toContain(secret.slice(8, 20));
    }
  });

  test("may be encrypted with age, and readable by all then", async () => {
    const key = makeQueueKey();
    const identity = await generateX25519Identity();
    const encrypter = new Encrypter();
    encrypter.addRecipient(await identityToRecipient(identity));
    const file = keyFile(await encrypter.encrypt(`${key}\n`), 0o644);
    const withIdentity = { ...env, VOLLEY_AGE_IDENTITY: keyFile(identity) };
    expect(await hexOf({ file, env: withIdentity })).toEqual(await hexOf({ file: keyFile(key) }));
    await expect(readQueueKeys({ file, env })).rejects.toMatchObject({
      code: "SECRET_FAILED",
      message: expect.stringContaining("no identity was given"),
    });
  });

  test("may be encrypted with Ansible Vault", async () => {
    const file = keyFile(VAULT, 0o644);
    const secrets = createSecretStore({
      cwd: directory,
      env,
      vaultPasswordFiles: [keyFile("hunter2\n")],
    });
    expect(await readQueueKeys({ file, env, secrets })).toHaveLength(1);
  });
});

describe("volley queue-key", () => {
  test("prints a key that is read", async () => {
    const { code, stdout } = await volleyHere(["queue-key"], { cwd: directory });
    expect(code).toBe(0);
    expect(await readQueueKeys({ file: keyFile(stdout), env })).toHaveLength(1);
  });

  test("writes a file for its owner alone, and overwrites none", async () => {
    const args = ["queue-key", "-o", "new/queue.key"];
    const path = join(directory, "new", "queue.key");
    expect(await volleyHere(args, { cwd: directory })).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path, "utf8");
    expect(await readQueueKeys({ file: path, env })).toHaveLength(1);
    const again = await volleyHere(args, { cwd: directory });
    expect(again).toMatchObject({ code: 1, stdout: "" });
    expect(again.stderr).toMatch(
      /^volley: new\/queue\.key is there, and a key is never overwritten \(.*\)\n$/,
    );
    expect(readFileSync(path, "utf8")).toBe(before);
  });
});

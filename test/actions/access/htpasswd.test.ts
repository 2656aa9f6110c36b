import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { htpasswd } from "../../../src/actions/access/htpasswd.ts";
import { isPassword } from "../../../src/system/crypt.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox, testsWorkDirectly } from "../harness.ts";

const path = "/etc/htpasswd";
let sandbox: Sandbox;
const at = (name: string): string => join(sandbox.root, name);
const content = (): string => readFileSync(at("etc/htpasswd"), "utf8");

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
});
afterEach(() => sandbox[Symbol.dispose]());

it("makes the file, and shows no hash", async () => {
  const call = htpasswd({ path, name: "alice", password: "secret", mode: "0640" });
  const { check, first, second } = await checkApplyAgain(sandbox, call);
  expect(check.change?.diff).toMatchObject({ path, binary: true });
  expect(JSON.stringify(check.change?.diff)).not.toContain("apr1");
  expect(first.applied?.message).toBe("Created /etc/htpasswd and added alice");
  expect(second.inspected?.message).toBe("alice already present");
  expect(content()).toMatch(/^alice:\$apr1\$[./0-9A-Za-z]{8}\$[./0-9A-Za-z]{22}\n$/);
  expect(isPassword("secret", content().trim().slice(6))).toBe(true);
  expect(statSync(at("etc/htpasswd")).mode & 0o777).toBe(0o640);
});

const SCHEMES = ["bcrypt", "sha512_crypt", "sha256_crypt", "md5_crypt", "ldap_sha1", "plaintext"] as const;

// Volley's own process hashes, not the host: bcrypt, which takes a second each time, is the same over a connection.
it.each(SCHEMES.filter((scheme) => scheme !== "bcrypt" || !testsWorkDirectly()))(
  "writes %s",
  async (hash_scheme) => {
    writeFileSync(at("etc/htpasswd"), "# ours\nbob:x\nalice:old\n");
    const call = htpasswd({ path, name: "bob", password: "pä ss", hash_scheme });
    const { first } = await checkApplyAgain(sandbox, call);
    expect(first.applied?.message).toBe("Add/update bob");
    const [comment, bob, alice] = content().split("\n");
    expect([comment, alice]).toEqual(["# ours", "alice:old"]);
    expect(isPassword("pä ss", bob!.slice(4))).toBe(true);
  },
);

it("leaves an entry of another scheme whose password is right", async () => {
  writeFileSync(at("etc/htpasswd"), "bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=");
  const call = htpasswd({ path, name: "bob", password: "password", hash_scheme: "bcrypt" });
  expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
});

it("adds and removes users", async () => {
  writeFileSync(at("etc/htpasswd"), "bob:x");
  const { first } = await checkApplyAgain(sandbox, htpasswd({ path, name: "bo", password: "y" }));
  expect(first.applied?.message).toBe("Add/update bo");
  expect(content()).toMatch(/^bob:x\nbo:\$apr1\$/);
  await checkApplyAgain(sandbox, htpasswd({ path, name: "bo", state: "absent" }));
  expect(content()).toBe("bob:x\n");
});

it("fails without the file where it may not make one", async () => {
  const call = htpasswd({ path, name: "bo", password: "y", create: false });
  await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow("does not exist");
  const gone = htpasswd({ path, name: "bo", state: "absent" });
  expect((await pass(gone, sandbox.system, sandbox.context())).state).toBe("unchanged");
});

it("names wrong parameters", () => {
  expect(() => htpasswd({ path, name: "a:b", password: "x" })).toThrow('parameter "name"');
  expect(() => htpasswd({ path, name: "a" })).toThrow('"password" is required');
  // @ts-expect-error a scheme that is refused
  expect(() => htpasswd({ path, name: "a", password: "x", hash_scheme: "des_crypt" })).toThrow("hash_scheme");
});

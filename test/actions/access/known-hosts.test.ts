import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { known_hosts } from "../../../src/actions/access/known-hosts.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

const ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP/uHW5c8JVPSe30NiJ8TY3SChl0udcKy5L3snR7iT1B";
const OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEUHCaKHaq4Zr9ZYmm5D8TVol2Yl9eNi5LyiNV3eDaoi";
const EC =
  "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEN2916o8k27Si3iKWoTVh4tUekm8rsdIkVodyEd/A5BWFXn1V4vT+TBNAPWS8orOa9Fbb96uC49y4bk02BRFRo=";
const path = "/etc/known";

let sandbox: Sandbox;
const at = (name: string): string => join(sandbox.root, name);
const content = (): string => readFileSync(at("etc/known"), "utf8");
const start = (...lines: string[]): void => writeFileSync(at("etc/known"), `${lines.join("\n")}\n`);
const run = async (params: Parameters<typeof known_hosts>[0]) =>
  pass(known_hosts({ path, ...params }), sandbox.system, sandbox.context());

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
});
afterEach(() => sandbox[Symbol.dispose]());

it("writes a key into a new file, once", async () => {
  const key = `h1.example.org,10.0.0.1 ${ED} comment`;
  const { check, first, second } = await checkApplyAgain(
    sandbox,
    known_hosts({ path, name: "H1.example.org", key }),
  );
  expect(content()).toBe(`${key}\n`);
  expect(check.change?.diff).toEqual({ path, before: null, after: `${key}\n` });
  expect(first.data).toMatchObject({ name: "H1.example.org", key, path, hash_host: false, state: "file" });
  const headers = { before_header: path, after_header: path };
  expect(first.data?.diff).toEqual({ ...headers, before_header: "/dev/null", before: "", after: `${key}\n` });
  expect(check.change?.data).toMatchObject({ name: "H1.example.org", diff: first.data?.diff });
  expect(second.data).toEqual({
    ...first.data,
    diff: { ...headers, before: `${key}\n`, after: `${key}\n` },
  });
});

it("replaces another key of the type, and adds keys of other types", async () => {
  start("# comment", `h1,h2 ${ED} c`, `h3 ${ED}`);
  await run({ name: "h1", key: `h1 ${EC}` });
  await run({ name: "h1", key: `h1 ${OTHER}` });
  expect(content()).toBe(`# comment\nh3 ${ED}\nh1 ${EC}\nh1 ${OTHER}\n`);
});

it("ends a last line that has no newline", async () => {
  writeFileSync(at("etc/known"), `h3 ${ED}`);
  await run({ name: "h1", key: `h1 ${ED}` });
  expect(content()).toBe(`h3 ${ED}\nh1 ${ED}\n`);
});

it("hashes names, and writes them in clear again", async () => {
  start(`[h1]:2222 ${ED}`);
  const name = "[h1]:2222";
  const hash = known_hosts({ path, name, key: `${name} ${ED} c`, hash_host: true });
  const { second } = await checkApplyAgain(sandbox, hash);
  expect(content()).toMatch(/^\|1\|[\w+/]{27}=\|[\w+/]{27}= ssh-ed25519 \S+ c\n$/);
  expect(second.data).toMatchObject({ hash_host: true });
  const found = execFileSync("ssh-keygen", ["-F", name, "-f", at("etc/known")]).toString();
  expect(found).toContain("line 1");
  await checkApplyAgain(sandbox, known_hosts({ path, name, key: `${name} ${ED}` }));
  expect(content()).toBe(`${name} ${ED}\n`);
});

it("takes all lines that ssh-keyscan prints", async () => {
  const key = `h1 ${EC}\nh1 ${ED}\n`;
  start(`h1 ${OTHER}`);
  await checkApplyAgain(sandbox, known_hosts({ path, name: "h1", key }));
  expect(content()).toBe(key);
});

it("leaves patterns and marked lines alone, and adds marked ones", async () => {
  const lines = [`*.h1 ${ED}`, `@revoked a.h1 ${ED}`, `@cert-authority a.h1 ${ED}`];
  start(...lines, `a.h1 ${ED}`);
  await run({ name: "a.h1", key: `a.h1 ${OTHER}` });
  expect(content()).toBe(`${[...lines, `a.h1 ${OTHER}`].join("\n")}\n`);
  await run({ name: "a.h1", state: "absent" });
  expect(content()).toBe(`${lines.join("\n")}\n`);
  await checkApplyAgain(sandbox, known_hosts({ path, name: "a.h1", key: `@revoked a.h1 ${OTHER}` }));
  expect(content()).toBe(`${[...lines, `@revoked a.h1 ${OTHER}`].join("\n")}\n`);
});

it("removes all keys of a host, or those of a type", async () => {
  start(`h1 ${ED}`, `h1,h2 ${EC}`, `h3 ${ED}`);
  await checkApplyAgain(sandbox, known_hosts({ path, name: "h1", key: `h1 ${OTHER}`, state: "absent" }));
  expect(content()).toBe(`h1,h2 ${EC}\nh3 ${ED}\n`);
  const { first } = await checkApplyAgain(sandbox, known_hosts({ path, name: "H2", state: "absent" }));
  expect(content()).toBe(`h3 ${ED}\n`);
  expect(first.data).toMatchObject({ key: null, name: "H2" });
});

it("makes no file to remove a key from", async () => {
  const { state, data } = await run({ name: "h1", state: "absent" });
  expect(state).toBe("unchanged");
  expect(data).toMatchObject({ name: "h1", key: null, path, hash_host: false, state: "absent" });
  expect(existsSync(at("etc/known"))).toBe(false);
});

it("keeps the file's mode", async () => {
  start(`h3 ${ED}`);
  chmodSync(at("etc/known"), 0o600);
  await run({ name: "h1", key: `h1 ${ED}` });
  expect(statSync(at("etc/known")).mode & 0o777).toBe(0o600);
});

it("refuses keys that are no lines of known_hosts", async () => {
  expect(() => known_hosts({ name: "h1" })).toThrow("No key specified");
  await expect(run({ name: "h1", key: `h2 ${ED}` })).rejects.toThrow("Host parameter does not match");
  await expect(run({ name: "h1,h2", key: `h1,h2 ${ED}` })).rejects.toThrow("Comma separated list of names");
  await expect(run({ name: "h1", key: ED })).rejects.toThrow("write the host before its type");
});

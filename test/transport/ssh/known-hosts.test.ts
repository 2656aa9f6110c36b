import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { generateKey, knownHostsLine } from "../../../src/embedded/keys.ts";
import { verifyHostKey } from "../../../src/transport/ssh/host-key.ts";
import { fingerprintOf, hostName, keyType, openKnownHosts } from "../../../src/transport/ssh/known-hosts.ts";

const key = blobOf(generateKey("one").publicKey);
const other = blobOf(generateKey("two").publicKey);
const endpoint = { host: "web1", address: "10.0.0.1", port: 22, user: "root", privateKeyFile: undefined };
let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-known-"));
  file = join(directory, "known_hosts");
});
afterEach(() => rmSync(directory, { recursive: true }));

function blobOf(publicKey: string): Buffer {
  return Buffer.from(publicKey.split(" ")[1]!, "base64");
}

function lineOf(names: string, blob: Buffer): string {
  return `${names} ${keyType(blob)} ${blob.toString("base64")} a comment\n`;
}

test.each([
  ["10.0.0.1", 22, "10.0.0.1"],
  ["10.0.0.1", 2222, "[10.0.0.1]:2222"],
  ["WEB1.Example.org", 22, "web1.example.org"],
  ["::1", 22, "::1"],
  ["::1", 2222, "[::1]:2222"],
])("%s port %i is called %s", (address, port, name) => {
  expect(hostName(address, port)).toBe(name);
});

test.each([
  ["10.0.0.1", "known"],
  ["web1,10.0.0.1", "known"],
  ["10.0.0.*", "known"],
  ["10.0.0.?", "known"],
  ["10.0.0.*,!10.0.0.1", "unknown"],
  ["10x0.0.1", "unknown"],
  ["10.0.0.11", "unknown"],
  ["[10.0.0.1]:2222", "unknown"],
])("a line for %s: the key is %s", (names, kind) => {
  writeFileSync(file, `# a comment\n\n${lineOf(names, key)}`);
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key).kind).toBe(kind);
});

test("hashed names are understood, ssh-keygen's way", () => {
  writeFileSync(file, `${knownHostsLine("10.0.0.1", 2222, `ssh-ed25519 ${key.toString("base64")}`, true)}\n`);
  const known = openKnownHosts([file]);
  expect(known.check("10.0.0.1", 2222, key)).toEqual({ kind: "known" });
  expect(known.check("10.0.0.1", 2222, other)).toEqual({ kind: "changed", file, line: 1 });
  expect(known.check("10.0.0.2", 2222, key)).toEqual({ kind: "unknown" });
});

test("a changed key names the file and the line; a second right line suffices", () => {
  writeFileSync(file, `# one\n${lineOf("10.0.0.1", other)}`);
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key)).toEqual({ kind: "changed", file, line: 2 });
  writeFileSync(file, `${lineOf("10.0.0.1", other)}${lineOf("10.0.0.1", key)}`);
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key)).toEqual({ kind: "known" });
});

test("a revoked key is refused although another line knows it", () => {
  writeFileSync(file, `${lineOf("10.0.0.1", key)}@revoked ${lineOf("*", key)}`);
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key)).toEqual({ kind: "revoked", file, line: 2 });
});

test("garbage is passed over, and a file that is not there is empty", () => {
  writeFileSync(
    file,
    `10.0.0.1\n10.0.0.1 ssh-ed25519\n10.0.0.1 ssh-ed25519 !!!\n|1|x|y ssh-ed25519 AAAA\n\u0000\n${lineOf("10.0.0.1", key)}`,
  );
  const known = openKnownHosts([join(directory, "none"), file]);
  expect(known.check("10.0.0.1", 22, key)).toEqual({ kind: "known" });
  expect(known.keyTypes("10.0.0.1", 22)).toEqual(["ssh-ed25519"]);
});

test("accept-new adds to the first file, made with its directory, for its owner only", () => {
  const first = join(directory, "new", "known_hosts");
  const known = openKnownHosts([first, file]);
  expect(verifyHostKey(endpoint, key, { knownHosts: known, hostKeyPolicy: "accept-new" })).toBeUndefined();
  expect(readFileSync(first, "utf8")).toBe(`10.0.0.1 ssh-ed25519 ${key.toString("base64")}\n`);
  expect(statSync(first).mode & 0o777).toBe(0o600);
  expect(known.check("10.0.0.1", 22, key)).toEqual({ kind: "known" });
  const refused = verifyHostKey(endpoint, other, { knownHosts: known, hostKeyPolicy: "accept-new" });
  expect(refused).toMatchObject({ code: "HOST_KEY_CHANGED", message: expect.stringContaining(`${first}:1`) });
});

test("a file whose last line has no end gets one", () => {
  writeFileSync(file, lineOf("other", other).trimEnd());
  openKnownHosts([file]).add("10.0.0.1", 22, key);
  expect(readFileSync(file, "utf8").split("\n")).toHaveLength(3);
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key)).toEqual({ kind: "known" });
});

test("strict refuses an unknown key and shows its fingerprint; off asks nothing", () => {
  const knownHosts = openKnownHosts([file]);
  const refused = verifyHostKey(endpoint, key, { knownHosts, hostKeyPolicy: "strict" });
  expect(refused).toMatchObject({
    code: "HOST_KEY_UNKNOWN",
    message: expect.stringContaining(fingerprintOf(key)),
    hint: expect.stringContaining("--host-keys accept-new"),
  });
  writeFileSync(file, lineOf("10.0.0.1", other));
  expect(
    verifyHostKey(endpoint, key, { knownHosts: openKnownHosts([file]), hostKeyPolicy: "off" }),
  ).toBeUndefined();
});

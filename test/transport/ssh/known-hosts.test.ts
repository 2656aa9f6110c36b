import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { afterEach, beforeEach, expect, test } from "vitest";
import { generateKey, knownHostsLine } from "../../../src/embedded/host.ts";
import {
  fingerprintOf,
  type HostKeyCheck,
  hostName,
  type KnownHosts,
  keyType,
  openKnownHosts,
  rsaBits,
  verifyHostKey,
} from "../../../src/transport/ssh/known-hosts.ts";
import type { HostKeyPolicy } from "../../../src/transport/transport.ts";

const key = blobOf(generateKey("one").publicKey);
const other = blobOf(generateKey("two").publicKey);
const endpoint = { host: "web1", address: "10.0.0.1", port: 22, user: "root", privateKeyFile: undefined };
let directory: string;
let file: string;

/** The check of a key by a policy alone. */
function by(
  knownHosts: KnownHosts,
  hostKeyPolicy: HostKeyPolicy,
  more: Partial<HostKeyCheck["settings"]> = {},
): HostKeyCheck {
  const settings = {
    hostKeyPolicy,
    requiredRsaBits: 1_024,
    passwordsNeedKnownKeys: false,
    forwardAgent: false,
  };
  return {
    knownHosts,
    settings: { ...settings, ...more },
    unsafe: () => expect.unreachable("it is the usual key"),
  };
}

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

function hashedLine(salt: Buffer, digest: Buffer, blob: Buffer): string {
  return lineOf(`|1|${salt.toString("base64")}|${digest.toString("base64")}`, blob);
}

test.each([0, 1, 20, 21, 63, 64, 65, 100])(
  "hashed names with salts of %i bytes: names of any length are found, and no others",
  (saltBytes) => {
    const names = Array.from({ length: 131 }, (_none, length) =>
      randomBytes(length).toString("hex").slice(0, length),
    );
    const lines = names.map((name) => {
      const salt = randomBytes(saltBytes);
      return hashedLine(salt, createHmac("sha1", salt).update(name).digest(), key);
    });
    writeFileSync(file, lines.join(""));
    const known = openKnownHosts([file]);
    for (const name of names) {
      expect(known.check(name, 22, key).kind).toBe("known");
      expect(known.check(`${name}x`, 22, key).kind).toBe("unknown");
    }
    writeFileSync(file, names.map(() => hashedLine(randomBytes(saltBytes), randomBytes(20), key)).join(""));
    const others = openKnownHosts([file]);
    for (const name of names) expect(others.check(name, 22, key).kind).toBe("unknown");
  },
);

test("of many names a hashed line stands for one, and a hash of another length for none", () => {
  const salt = randomBytes(20);
  const hashOf = (name: string): Buffer => createHmac("sha1", salt).update(name).digest();
  const names = Array.from({ length: 20 }, (_none, index) => `web${index}`);
  const known = (digest: Buffer): readonly string[] => {
    writeFileSync(file, hashedLine(salt, digest, key));
    const hosts = openKnownHosts([file]);
    return names.filter((name) => hosts.check(name, 22, key).kind === "known");
  };
  expect(known(hashOf("web7"))).toEqual(["web7"]);
  expect(known(Buffer.alloc(0))).toEqual([]);
  expect(known(hashOf("web7").subarray(0, 19))).toEqual([]);
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
  expect(verifyHostKey(endpoint, key, by(known, "accept-new"))).toBeUndefined();
  expect(readFileSync(first, "utf8")).toBe(`10.0.0.1 ssh-ed25519 ${key.toString("base64")}\n`);
  expect(statSync(first).mode & 0o777).toBe(0o600);
  expect(known.check("10.0.0.1", 22, key)).toEqual({ kind: "known" });
  const refused = verifyHostKey(endpoint, other, by(known, "accept-new"));
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
  const refused = verifyHostKey(endpoint, key, by(knownHosts, "strict"));
  expect(refused).toMatchObject({
    code: "HOST_KEY_UNKNOWN",
    message: expect.stringContaining(fingerprintOf(key)),
    hint: expect.stringContaining("--host-keys accept-new"),
  });
  writeFileSync(file, lineOf("10.0.0.1", other));
  expect(verifyHostKey(endpoint, key, by(openKnownHosts([file]), "off"))).toBeUndefined();
});

test("a host on another port is known by a line without it, unless there is one with it", () => {
  writeFileSync(file, lineOf("10.0.0.1", key));
  const known = openKnownHosts([file]);
  expect(known.check("10.0.0.1", 2222, key)).toEqual({ kind: "known" });
  // As for ssh: the key under the plain name proves nothing about another sshd.
  expect(known.check("10.0.0.1", 2222, other)).toEqual({ kind: "unknown" });
  expect(known.keyTypes("10.0.0.1", 2222)).toEqual([]);
  expect(known.keyTypesWithoutPort("10.0.0.1", 2222)).toEqual(["ssh-ed25519"]);
  writeFileSync(file, lineOf("10.0.0.1", key) + lineOf("[10.0.0.1]:2222", other));
  expect(openKnownHosts([file]).check("10.0.0.1", 2222, key)).toEqual({ kind: "changed", file, line: 2 });
  expect(openKnownHosts([file]).keyTypesWithoutPort("10.0.0.1", 2222)).toEqual([]);
  writeFileSync(file, `@revoked ${lineOf("10.0.0.1", key)}`);
  expect(openKnownHosts([file]).check("10.0.0.1", 2222, key)).toEqual({ kind: "revoked", file, line: 1 });
  writeFileSync(file, lineOf("[10.0.0.1]:2222", key));
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key)).toEqual({ kind: "unknown" });
});

test("a key of another type than those listed is a changed key", () => {
  const rsa = blobOf(generateKeyOf("rsa"));
  writeFileSync(file, lineOf("10.0.0.1", rsa));
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key)).toEqual({ kind: "changed", file, line: 1 });
});

test("RSA keys that are too short are refused", () => {
  const rsa = blobOf(generateKeyOf("rsa"));
  expect([rsaBits(rsa), rsaBits(key)]).toEqual([2_048, undefined]);
  writeFileSync(file, lineOf("10.0.0.1", rsa));
  const check = (requiredRsaBits: number) =>
    verifyHostKey(endpoint, rsa, by(openKnownHosts([file]), "strict", { requiredRsaBits }));
  expect(check(2_048)).toBeUndefined();
  expect(check(3_072)).toMatchObject({
    message: "web1: its RSA key has 2048 bits, and 3072 are required (RequiredRSASize)",
  });
});

test("StrictHostKeyChecking no: with a changed key no password is sent, and no agent forwarded", () => {
  writeFileSync(file, lineOf("10.0.0.1", other));
  let unsafe = 0;
  const check = (forwardAgent: boolean) =>
    verifyHostKey(endpoint, key, {
      ...by(openKnownHosts([file]), "off", { passwordsNeedKnownKeys: true, forwardAgent }),
      unsafe: () => void unsafe++,
    });
  expect(check(false)).toBeUndefined();
  expect(unsafe).toBe(1);
  expect(check(true)).toMatchObject({ code: "HOST_KEY_CHANGED" });
});

test.each([
  ["@nonsense", "10.0.0.1"],
  ["@revoked @revoked", "10.0.0.1"],
  ["", "#10.0.0.1"],
])("a line that begins with %j is passed over", (marker, names) => {
  writeFileSync(file, `${marker} ${lineOf(names, key)}`);
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key)).toEqual({ kind: "unknown" });
});

test("a line whose key is damaged, or of another type than it says, is passed over", () => {
  const [names, type, base64] = lineOf("10.0.0.1", key).split(" ");
  writeFileSync(
    file,
    `${names} ssh-rsa ${base64}\n${names} ${type} ${base64!.replace("A", "!")}\n${names} ${type}\n`,
  );
  expect(openKnownHosts([file]).check("10.0.0.1", 22, key)).toEqual({ kind: "unknown" });
});

test("a file that cannot be read counts as empty, as for ssh, and is named when the key is not known", () => {
  writeFileSync(file, lineOf("10.0.0.1", key));
  // No user, not even root, can read a directory as a file.
  const known = openKnownHosts([directory, file]);
  expect(known.check("10.0.0.1", 22, key)).toEqual({ kind: "known" });
  expect(verifyHostKey(endpoint, other, by(openKnownHosts([directory]), "strict"))).toMatchObject({
    code: "HOST_KEY_UNKNOWN",
    message: expect.stringContaining(`(${directory} cannot be read: `),
  });
});

test("UserKnownHostsFile none: a new key is trusted by nobody, and goes into no other file", () => {
  const refused = verifyHostKey(endpoint, key, by(openKnownHosts([file], undefined), "accept-new"));
  expect(refused).toBeUndefined();
  const none = openKnownHosts([file], null);
  expect(verifyHostKey(endpoint, other, by(none, "accept-new"))).toMatchObject({ code: "HOST_KEY_CHANGED" });
  expect(verifyHostKey({ ...endpoint, address: "10.0.0.2" }, key, by(none, "accept-new"))).toMatchObject({
    code: "HOST_KEY_UNKNOWN",
    message: "there is no file to add the key of 10.0.0.2 to",
  });
});

function generateKeyOf(type: "rsa"): string {
  return ssh2.utils.generateKeyPairSync(type, { bits: 2_048 }).public;
}

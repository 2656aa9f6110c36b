import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { afterAll, beforeAll, test } from "vitest";
import { parseSeconds } from "../../src/core/unix/duration.ts";
import { KeyRing } from "../../src/transport/ssh/keys.ts";
import { keyType, openKnownHosts } from "../../src/transport/ssh/known-hosts.ts";
import { parseSshArguments } from "../../src/transport/ssh-config/parse.ts";
import { readSshConfig } from "../../src/transport/ssh-config/read.ts";
import { createResolver } from "../../src/transport/ssh-config/resolve.ts";
import { parseJumps } from "../../src/transport/ssh-config/values.ts";
import type { Endpoint } from "../../src/transport/transport.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { must, mustEqual, orRefusal, orRefusalOf } from "./lib/judge.ts";

const KEY = Buffer.from("AAAAC3NzaC1lZDI1NTE5AAAAIFN2o6vQ8j0S5bXzJw8WqDqXz0f3b3V7m0m1d2y0jv3x", "base64");
const CONFIG_TOKENS = [
  "Host ",
  "Match ",
  "Include ",
  "Include self\n",
  "all",
  "final",
  "canonical",
  "exec ",
  "\n  ",
  '"',
  "=",
  "%h",
  "%%",
  "%",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as ssh_config writes it
  "${HOME}",
  "~/",
  "Port ",
  "ProxyJump ",
  "ProxyCommand ",
  "ConnectTimeout ",
  "ServerAliveCountMax ",
  "HostName ",
  "User ",
  "IdentityFile ",
  "web*",
  "!",
  "1w2d",
  "none",
  "#",
];

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-fuzz-"));
  mkdirSync(join(directory, "home"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test(
  "known_hosts: a verdict for every host, and a key that was added is known",
  () =>
    fuzz({
      corpus: "known-hosts",
      inputs: 600,
      tokens: [
        "|1|",
        "@revoked ",
        "@cert-authority ",
        "ssh-ed25519 ",
        "AAAA",
        "*,",
        "!web1,",
        "[web1]:22",
        "=",
        "\n",
        "#",
      ],
      check: (bytes, draw) => {
        const file = join(directory, "known_hosts");
        writeFileSync(file, bytes);
        const known = openKnownHosts([file, join(directory, "none")]);
        const kinds = ["known", "unknown", "certified", "changed", "revoked"];
        for (const name of ["web1", "web2", "2001:db8::1", "a.example.org", "w".repeat(255), ""]) {
          const verdict = known.check(name, draw.pick([22, 2222]), KEY);
          must(kinds.includes(verdict.kind), `the verdict ${verdict.kind}`);
          for (const type of known.keyTypes(name, 22))
            must(typeof type === "string", "a type that is no text");
          known.needsCertificate(name, 22);
        }
        known.add("new.example", 2022, KEY, draw.chance(0.5));
        mustEqual(known.check("new.example", 2022, KEY).kind === "unknown", false, "added");
        const again = openKnownHosts([file]).check("new.example", 2022, KEY);
        must(again.kind === "known" || again.kind === "revoked", `an added key that is ${again.kind}`);
        mustEqual(typeof keyType(KEY), "string", "a type");
      },
    }),
  FUZZ_TIMEOUT_MS,
);

function privateKeys(): readonly Buffer[] {
  const pem = generateKeyPairSync("rsa", {
    modulusLength: 1024,
    publicKeyEncoding: { type: "pkcs1", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  }).privateKey;
  const pkcs8 = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  }).privateKey;
  const encrypted = { passphrase: "a word", cipher: "aes256-ctr", rounds: 1 };
  return [
    pem,
    pkcs8,
    ssh2.utils.generateKeyPairSync("ed25519").private,
    ssh2.utils.generateKeyPairSync("ecdsa", { bits: 256 }).private,
    ssh2.utils.generateKeyPairSync("ed25519", encrypted).private,
  ].map((text) => Buffer.from(text));
}

test(
  "private keys: a key, or what is wrong with the file",
  () =>
    fuzz({
      corpus: "keys",
      seeds: privateKeys(),
      inputs: 400,
      tokens: [
        "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----END",
        "Proc-Type: 4,ENCRYPTED",
        "AAAA",
        "\n",
      ],
      synchronous: false,
      check: async (bytes, draw) => {
        const file = join(directory, "key");
        writeFileSync(file, bytes);
        // Of a key that says it needs a billion rounds nobody is given a passphrase.
        const ring = new KeyRing(async () => null);
        const key = await orRefusalOf(["AUTH_FAILED"], () => ring.load(file));
        if (key !== undefined) {
          must(key.isPrivateKey(), "no private key");
          must(
            typeof key.type === "string" && key.getPublicSSH().length > 0,
            "a key without its public half",
          );
        }
        ring.isEncrypted(file);
        ring.publicKey(file);
        writeFileSync(`${file}.pub`, draw.chance(0.5) ? bytes : "");
        ring.publicKey(file);
      },
    }),
  FUZZ_TIMEOUT_MS,
);

function mustBeEndpoint(endpoint: Endpoint, depth = 0): void {
  must(depth < 50, "hosts to jump through without end");
  must(
    Number.isInteger(endpoint.port) && endpoint.port > 0 && endpoint.port < 65_536,
    `port ${endpoint.port} of ${endpoint.host}`,
  );
  must(typeof endpoint.user === "string" && typeof endpoint.address === "string", "no address or user");
  const ssh = endpoint.ssh!;
  for (const [name, value] of Object.entries({
    connectTimeoutMs: ssh.connectTimeoutMs,
    keepAliveMs: ssh.keepAliveMs,
    keepAliveCountMax: ssh.keepAliveCountMax,
  }))
    must(Number.isSafeInteger(value) && value >= 0, `${name} ${value}`);
  for (const jump of ssh.jumps) mustBeEndpoint(jump, depth + 1);
}

test(
  "ssh_config: settings that can be used, or a refusal; nothing is run",
  () =>
    fuzz({
      corpus: "ssh-config",
      inputs: 600,
      tokens: CONFIG_TOKENS,
      synchronous: false,
      check: async (bytes) => {
        const file = join(directory, "config");
        // Files that include themselves, by their own name.
        writeFileSync(file, bytes.toString("latin1").replaceAll("Include self", `Include ${file}`), "latin1");
        const files = orRefusal(["USAGE"], () => readSshConfig(file));
        if (files === undefined) return;
        const { resolve } = createResolver({
          files,
          runCommand: async () => false,
          configFile: file,
          user: undefined,
          privateKeyFile: undefined,
          password: undefined,
          hostKeyPolicy: undefined,
          defaultHostKeyPolicy: "strict",
          knownHostsFiles: undefined,
          connectTimeoutMs: undefined,
          persistMs: undefined,
          forwardAgent: undefined,
        });
        for (const name of ["web1", "web2", "bastion", "2001:db8::1"]) {
          const endpoint = await orRefusalOf(["USAGE"], () =>
            resolve({
              host: name,
              name,
              port: undefined,
              user: undefined,
              privateKeyFile: undefined,
              password: undefined,
              written: [],
              words: [],
            }),
          );
          if (endpoint !== undefined) mustBeEndpoint(endpoint);
        }
        must(
          readdirSync(directory).every((name) => /^(config|home|key(\.pub)?|known_hosts)$/.test(name)),
          "something has been written",
        );
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "arguments of ssh",
  () =>
    fuzz({
      corpus: "ssh-arguments",
      inputs: 600,
      tokens: ["-o ", "-oPort=", "-J", "-i", "-p", "'", '"', "\\", "=", "ProxyCommand", "-E", "--"],
      check: (bytes) => {
        const parsed = orRefusal(["USAGE"], () =>
          parseSshArguments(bytes.toString(), "ansible_ssh_common_args"),
        );
        if (parsed === undefined) return;
        for (const { name, words } of parsed.options)
          must(
            /^[a-z]\w*$/.test(name) && words.every((word) => typeof word === "string"),
            `the option ${name}`,
          );
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "hosts to jump through, and times",
  () =>
    fuzz({
      corpus: "jumps",
      inputs: 600,
      tokens: ["ssh://", "@", ":", "[", "]", "::", "%eth0", ",", "1h", "30", "w"],
      check: (bytes) => {
        const text = bytes.toString();
        for (const { host, port } of orRefusal(["USAGE"], () => parseJumps(text)) ?? []) {
          must(host !== "" && !host.startsWith("-"), `the host ${JSON.stringify(host.slice(0, 100))}`);
          must(port === undefined || (port > 0 && port < 65_536), `port ${port}`);
        }
        const time = parseSeconds(text);
        must(time === undefined || (Number.isSafeInteger(time) && time >= 0), `the time ${time}`);
      },
    }),
  FUZZ_TIMEOUT_MS,
);

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import type { RunOptions } from "../../../src/controller/prepare/options.ts";
import { run } from "../../../src/controller/run.ts";
import type { HostSummary, Summary } from "../../../src/core/events.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions } from "../../../src/embedded/options.ts";
import { fleetStarter, follow } from "../../e2e/lib/drive.ts";
import {
  makeProject,
  type Project,
  playbookText,
  scratchDirectory,
  TWO_FILES,
} from "../../e2e/lib/project.ts";
import { until } from "../../lib/patience.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const hasOpenSsh = ["ssh-keygen", "ssh-agent", "ssh-add"].every((tool) => existsSync(`/usr/bin/${tool}`));

interface Site {
  readonly project: Project;
  readonly fleet: EmbeddedFleet;
  /** Carry out the playbook; the inventory names no key. */
  log(options: Partial<RunOptions>): Promise<{ readonly summary: Summary; readonly host: HostSummary }>;
}

async function makeSite(options: Partial<EmbeddedFleetOptions> = {}): Promise<Site> {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 1, ...options });
  const inventory = project.write(
    "hosts.yaml",
    fleet.inventoryYaml().replace(/^.*private_key_file.*\n/gm, ""),
  );
  return {
    project,
    fleet,
    log: async (more) => {
      const { summary } = await follow(
        run({
          inventory,
          playbook: project.path("site.ts"),
          knownHostsFiles: [fleet.knownHostsPath],
          sshConfig: "none",
          cwd: project.directory,
          ...more,
        }),
      );
      return { summary, host: summary.hosts[0]! };
    },
  };
}

function encrypted({ fleet, project }: Site): string {
  const file = project.path("encrypted");
  copyFileSync(fleet.privateKeyPath, file);
  chmodSync(file, 0o600);
  execFileSync("ssh-keygen", ["-q", "-p", "-a", "1", "-f", file, "-P", "", "-N", "correct horse"], {
    stdio: "ignore",
  });
  return file;
}

test("a key given for all hosts", async () => {
  const { log, fleet } = await makeSite();
  expect((await log({ privateKeyFile: fleet.privateKeyPath })).summary.exitCode).toBe(0);
});

test("the key ssh tries by itself", async () => {
  const { log, fleet } = await makeSite();
  const ssh = join(process.env.HOME!, ".ssh");
  mkdirSync(ssh);
  onTestFinished(() => rmSync(ssh, { recursive: true }));
  copyFileSync(fleet.privateKeyPath, join(ssh, "id_ed25519"));
  expect((await log({})).summary.exitCode).toBe(0);
});

test("no key at all", async () => {
  const { log, fleet } = await makeSite();
  const { summary, host } = await log({});
  expect(host).toMatchObject({
    outcome: "unreachable",
    error: {
      code: "AUTH_FAILED",
      message: "there is no key to log in to web01 with",
      hint: expect.stringContaining("ssh-add"),
    },
  });
  expect(summary.exitCode).toBe(1);
  expect(fleet.hosts[0]!.stats.connections).toBe(0);
});

test("another user", async () => {
  const { log, fleet, project } = await makeSite();
  const inventory = project.write(
    "other.yaml",
    fleet.inventoryYaml().replace(/ansible_user: .*/, "ansible_user: mallory"),
  );
  const { summary, host } = await log({ inventory });
  expect(host).toMatchObject({
    outcome: "unreachable",
    error: { code: "AUTH_FAILED", message: "web01 accepted none of the keys for user mallory" },
  });
  expect(summary.exitCode).toBe(1);
});

test.each([
  [
    "missing",
    (): string => "/nowhere/id_ed25519",
    /^cannot read the private key \/nowhere\/id_ed25519: there is no such file$/,
  ],
  ["a directory", (): string => scratch(), /^cannot read the private key .*: it is a directory$/],
  [
    "the public key",
    ({ fleet }: Site): string => `${fleet.privateKeyPath}.pub`,
    /\.pub holds no private key$/,
  ],
  [
    "no key",
    ({ project }: Site): string => project.path("site.ts"),
    /^cannot use the private key .*site\.ts: it holds no key in a format that is understood/,
  ],
])("a key file that is %s", async (_what, fileOf, message) => {
  const site = await makeSite();
  const { summary, host } = await site.log({ privateKeyFile: fileOf(site) });
  expect(host.error).toMatchObject({ code: "AUTH_FAILED", message: expect.stringMatching(message) });
  expect(host.outcome).toBe("unreachable");
  expect(summary.exitCode).toBe(1);
});

test.skipIf(process.getuid?.() === 0)("a key file that may not be read", async () => {
  const { log, project } = await makeSite();
  const file = project.write("secret", "x");
  chmodSync(file, 0o000);
  expect((await log({ privateKeyFile: file })).host.error?.message).toMatch(/permission denied/i);
});

test.skipIf(!hasOpenSsh)("an encrypted key: its passphrase is asked once for all hosts", async () => {
  const site = await makeSite({ count: 5 });
  const asked: string[] = [];
  const { summary } = await site.log({
    privateKeyFile: encrypted(site),
    askPassphrase: async (prompt) => {
      asked.push(prompt);
      return "correct horse";
    },
  });
  expect(summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
  expect(asked).toEqual([`Passphrase for ${site.project.path("encrypted")}: `]);
});

test.skipIf(!hasOpenSsh)("an encrypted key: wrong twice, then right; wrong every time", async () => {
  const site = await makeSite();
  const privateKeyFile = encrypted(site);
  const answers = ["no", "", "correct horse"];
  expect(
    (await site.log({ privateKeyFile, askPassphrase: async () => answers.shift() ?? null })).summary.exitCode,
  ).toBe(0);
  expect(answers).toEqual([]);
  let asked = 0;
  const { host } = await site.log({
    privateKeyFile,
    askPassphrase: async () => {
      asked++;
      return "wrong";
    },
  });
  expect(asked).toBe(3);
  expect(host.error).toMatchObject({
    code: "AUTH_FAILED",
    message: `cannot use the private key ${privateKeyFile}: the passphrase is wrong`,
  });
});

test.skipIf(!hasOpenSsh)("an encrypted key, and nobody to ask", async () => {
  const site = await makeSite();
  const { host, summary } = await site.log({ privateKeyFile: encrypted(site) });
  expect(host.error).toMatchObject({
    code: "AUTH_FAILED",
    message: expect.stringMatching(/is encrypted and there is no terminal to ask/),
    hint: expect.stringContaining("ssh-add"),
  });
  expect(summary.exitCode).toBe(1);
});

test.skipIf(!hasOpenSsh)("a key in ssh-agent", async () => {
  const { log, fleet } = await makeSite();
  const agent = spawn("ssh-agent", ["-D", "-a", join(scratch(), "agent")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => {
    agent.kill();
    delete process.env.SSH_AUTH_SOCK;
  });
  await once(createInterface(agent.stdout), "line");
  process.env.SSH_AUTH_SOCK = join(scratch(), "agent");
  const empty = await log({});
  expect(empty.host.error).toMatchObject({ code: "AUTH_FAILED" });
  execFileSync("ssh-add", ["-q", fleet.privateKeyPath], { stdio: "ignore" });
  expect((await log({})).summary.exitCode).toBe(0);
});

test("an agent's socket that nobody answers on", async () => {
  const { log } = await makeSite();
  process.env.SSH_AUTH_SOCK = join(scratch(), "no-agent");
  onTestFinished(() => {
    delete process.env.SSH_AUTH_SOCK;
  });
  const { host } = await log({});
  expect(host.error).toMatchObject({ code: "AUTH_FAILED", message: expect.stringContaining("agent") });
});

test("an unknown host key: strict refuses, accept-new learns, then strict accepts; off never asks", async () => {
  const { log, fleet, project } = await makeSite();
  const file = project.path("known_hosts");
  const options = { privateKeyFile: fleet.privateKeyPath, knownHostsFiles: [file] };
  const refused = await log(options);
  expect(refused.host.error).toMatchObject({
    code: "HOST_KEY_UNKNOWN",
    message: expect.stringContaining(fleet.hosts[0]!.hostKeyFingerprint),
  });
  expect(refused.summary.exitCode).toBe(1);
  expect(existsSync(file)).toBe(false);
  expect((await log({ ...options, hostKeys: "off" })).summary.exitCode).toBe(0);
  expect(existsSync(file)).toBe(false);
  expect((await log({ ...options, hostKeys: "accept-new" })).summary.exitCode).toBe(0);
  expect(readFileSync(file, "utf8")).toMatch(/^(\[127\.0\.0\.1\]:\d+|\|1\|\S+) ssh-ed25519 \S+\n$/);
  expect((await log(options)).summary.exitCode).toBe(0);
});

test.each(["strict", "accept-new"] as const)(
  "a changed host key is refused under %s, and known_hosts is left alone",
  async (hostKeys) => {
    const { log, fleet } = await makeSite({ faults: () => ({ kind: "wrongHostKey" }) });
    const before = readFileSync(fleet.knownHostsPath, "utf8");
    const { host } = await log({ privateKeyFile: fleet.privateKeyPath, hostKeys });
    expect(host.error).toMatchObject({
      code: "HOST_KEY_CHANGED",
      message: expect.stringContaining(`${fleet.knownHostsPath}:1`),
      hint: expect.stringContaining("ssh-keygen -R"),
    });
    expect(readFileSync(fleet.knownHostsPath, "utf8")).toBe(before);
  },
);

test("hashed known_hosts, a key of its own for each host", async () => {
  const { log, fleet } = await makeSite({ count: 4, hashKnownHosts: true, separateHostKeys: true });
  expect((await log({ privateKeyFile: fleet.privateKeyPath })).summary).toMatchObject({
    exitCode: 0,
    outcomes: { ok: 4 },
  });
});

test("a known_hosts file that cannot be read says so, and leaves no connection behind", async () => {
  const { log, fleet, project } = await makeSite();
  const { host } = await log({ privateKeyFile: fleet.privateKeyPath, knownHostsFiles: [project.directory] });
  expect(host.error).toMatchObject({
    code: "HOST_KEY_UNKNOWN",
    message: expect.stringContaining(`${project.directory} cannot be read`),
  });
  await until(() => fleet.hosts[0]!.stats.openConnections === 0);
});

test("twenty new hosts at once: each is added to known_hosts once", async () => {
  const { log, fleet, project } = await makeSite({ count: 20, separateHostKeys: true });
  const file = project.path("known_hosts");
  writeFileSync(file, "# mine");
  const { summary } = await log({
    privateKeyFile: fleet.privateKeyPath,
    knownHostsFiles: [file],
    hostKeys: "accept-new",
  });
  expect(summary.outcomes.ok).toBe(20);
  expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(21);
});

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedHost } from "../../src/embedded/options.ts";
import { type ProgramResult, runProgram } from "./client.ts";

const isInstalled = (program: string, flag: string): boolean =>
  spawnSync(program, [flag]).error === undefined;
const hasClients = isInstalled("ssh", "-V") && isInstalled("sftp", "-h");

describe.skipIf(!hasClients)("with OpenSSH's own clients", () => {
  let fleet: EmbeddedFleet;
  let host: EmbeddedHost;

  beforeAll(async () => {
    fleet = await startEmbeddedFleet({
      count: 2,
      hashKnownHosts: true,
      faults: (index) => (index === 1 ? { kind: "wrongHostKey" } : undefined),
    });
    host = fleet.hosts[0]!;
  });
  afterAll(() => fleet.stop());

  const options = (): readonly string[] => [
    ...["-F", "none", "-i", fleet.privateKeyPath],
    ...["-o", `UserKnownHostsFile=${fleet.knownHostsPath}`, "-o", "GlobalKnownHostsFile=/dev/null"],
    ...["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentityAgent=none"],
  ];
  const ssh = (target: EmbeddedHost, command: string, stdin = ""): Promise<ProgramResult> => {
    const destination = ["-p", String(target.port), `${fleet.user}@${target.address}`];
    return runProgram("ssh", [...options(), ...destination, command], { stdin });
  };
  const sftp = (...commands: readonly string[]): Promise<ProgramResult> => {
    const destination = ["-b", "-", "-P", String(host.port), `${fleet.user}@${host.address}`];
    return runProgram("sftp", [...options(), ...destination], { stdin: `${commands.join("\n")}\n` });
  };

  test("ssh runs commands", async () => {
    const result = await ssh(host, "cat; echo err >&2; exit 5", "input");
    expect(result).toMatchObject({ code: 5, stdout: "input" });
    expect(result.stderr).toContain("err");
  });

  test("ssh refuses a host with another key than known_hosts lists", async () => {
    const result = await ssh(fleet.hosts[1]!, "true");
    expect(result.code).toBe(255);
    expect(result.stderr).toMatch(/Host key verification failed/);
  });

  test("sftp transfers, lists, renames and links", async () => {
    const local = join(fleet.root, "local");
    writeFileSync(local, randomBytes(5_000_000), { mode: 0o640 });
    const result = await sftp(
      `put -p ${local} file`,
      `get -p file ${local}.back`,
      "mkdir directory",
      "rename file directory/file",
      "ln -s directory/file link",
      "ln directory/file hard",
      "chmod 600 hard",
      "df",
      "ls -l",
    );
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(`${local}.back`).equals(readFileSync(local))).toBe(true);
    expect(statSync(join(host.home, "directory/file")).nlink).toBe(2);
    expect(statSync(join(host.home, "hard")).mode & 0o777).toBe(0o600);
    expect(readlinkSync(join(host.home, "link"))).toBe("directory/file");
    expect(result.stdout).toMatch(/^l\S+ .* link( ->.*)?$/m);
    const removal = await sftp("rm link", "rm hard", "rm directory/file", "rmdir directory");
    expect(removal).toMatchObject({ code: 0, stderr: "" });
    expect(existsSync(join(host.home, "directory"))).toBe(false);
  });

  test("sftp reports errors", async () => {
    const result = await sftp("get no-such-file");
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/no-such-file.* not found/);
  });

  test("ssh reaches a host through another", async () => {
    const destination = ["-W", `${host.address}:${host.port}`, "-p", String(host.port)];
    const proxy = ["ssh", ...options(), ...destination, `${fleet.user}@${host.address}`].join(" ");
    const target = ["-o", `ProxyCommand=${proxy}`, "-p", String(host.port), `${fleet.user}@${host.address}`];
    const result = await runProgram("ssh", [...options(), ...target, "echo inner"]);
    expect(result).toMatchObject({ code: 0, stdout: "inner\n" });
  });
});

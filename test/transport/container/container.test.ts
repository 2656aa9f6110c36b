import { existsSync, readFileSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { openTransports, type Transports } from "../../../src/controller/prepare/transports.ts";
import type { Host } from "../../../src/core/inventory.ts";
import { describeHost } from "../../../src/inventory/connection.ts";
import { OPEN } from "../../../src/transport/sftp/codec.ts";
import type { Connection, RemoteProcess } from "../../../src/transport/transport.ts";
import { standIns } from "./programs.ts";

const signal = new AbortController().signal;
const { username, homedir } = userInfo();
/** In the stand-ins' containers the user that the program was told of is this one. */
const user = username;

function hostOf(vars: Readonly<Record<string, unknown>>, name = "web1"): Host {
  return describeHost(name, vars, { groups: new Map() }, "/inventories");
}

async function connect(vars: Readonly<Record<string, unknown>>): Promise<Connection> {
  const host = hostOf(vars);
  const { endpoint, transport } = (await open(host)).of(host);
  return await transport.connect(endpoint, signal);
}

function open(host: Host): Promise<Transports> {
  return openTransports([host], {}, signal);
}

async function endOf({ stdin, stdout, stderr, exit }: RemoteProcess, input = "") {
  const said = { stdout: "", stderr: "" };
  stdout.on("data", (chunk: Buffer) => (said.stdout += chunk.toString()));
  stderr.on("data", (chunk: Buffer) => (said.stderr += chunk.toString()));
  stdin.end(input);
  return { exit: await exit, ...said };
}

const cases: readonly (readonly [string, Record<string, unknown>, readonly string[], readonly string[]])[] = [
  [
    "docker",
    {
      ansible_connection: "community.docker.docker",
      ansible_host: "shop-web-1",
      ansible_docker_extra_args: "-H 'tcp://10.0.0.9:2375'",
    },
    ["docker", "-H", "tcp://10.0.0.9:2375", "exec", "-i", "-u", "root", "shop-web-1"],
    ["docker", "-H", "tcp://10.0.0.9:2375", "exec", "-i", "-t", "-u", "root", "shop-web-1"],
  ],
  [
    "docker as a user",
    { ansible_connection: "docker_api", ansible_docker_user: "app" },
    ["docker", "exec", "-i", "-u", "app", "web1"],
    ["docker", "exec", "-i", "-t", "-u", "app", "web1"],
  ],
  [
    "podman",
    {
      ansible_connection: "containers.podman.podman",
      ansible_podman_executable: "my-podman",
      ansible_podman_extra_args: "--log-level error",
      ansible_user: "1000",
    },
    ["my-podman", "--log-level", "error", "exec", "-i", "-u", "1000", "web1"],
    ["my-podman", "--log-level", "error", "exec", "-i", "-t", "-u", "1000", "web1"],
  ],
  [
    "lxd",
    {
      ansible_connection: "community.general.lxd",
      ansible_host: "c1.example.org",
      ansible_lxd_remote: "big",
      ansible_lxd_project: "shop",
    },
    ["lxc", "--project", "shop", "exec", "-T", "big:c1", "--"],
    ["lxc", "--project", "shop", "exec", "-t", "big:c1", "--"],
  ],
  [
    "incus",
    { ansible_connection: "incus" },
    ["incus", "exec", "-T", "local:web1", "--"],
    ["incus", "exec", "-t", "local:web1", "--"],
  ],
  [
    "chroot",
    { ansible_connection: "chroot", ansible_host: "roots/a" },
    ["chroot", "/inventories/roots/a"],
    ["chroot", "/inventories/roots/a"],
  ],
];

it.each(cases)("the program of %s gets the words of its manual", async (_name, vars, words, onTerminal) => {
  const programs = standIns();
  const connection = await connect(vars);
  const command = 'printf \'%s\\n\' "$PWD" "$HOME"; cat; echo bad >&2; exit 3';
  expect(await endOf(await connection.exec(command, signal), "in\nput\0")).toEqual({
    exit: { kind: "exited", code: 3 },
    stdout: `${homedir}\n${homedir}\nin\nput\0`,
    stderr: "bad\n",
  });
  const shown = await connection.exec("stty size; exec tty -s", signal, {
    pty: { columns: 71, rows: 23, resizable: true },
  });
  expect(await endOf(shown)).toMatchObject({ exit: { kind: "exited", code: 0 }, stdout: "23 71\r\n" });
  connection.close();
  expect(await connection.closed).toBeUndefined();
  expect(programs.calls()).toEqual([words, words, onTerminal]);
});

it.each(["lxd", "chroot"])("becomes another login user by su in a container of %s", async (kind) => {
  const programs = standIns();
  const connection = await connect({ ansible_connection: kind, ansible_user: "app" });
  expect(await endOf(await connection.exec('echo "$USER it\'s"', signal))).toMatchObject({
    stdout: "app it's\n",
  });
  connection.close();
  expect(programs.calls().filter(([program]) => program === "su")).toEqual([
    ["su", "app", "-c"],
    ["su", "app", "-c"],
  ]);
});

it("sends files whole, and serves a file session without an sftp-server's help", async () => {
  const programs = standIns();
  const connection = await connect({ ansible_connection: "docker", ansible_user: user });
  const path = join(programs.directory, "it's sent");
  const bytes = Buffer.alloc(200_000, "ab\0\n");
  await connection.upload(bytes, path, { mode: 0o600, signal });
  expect(readFileSync(path).equals(bytes)).toBe(true);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await expect(connection.upload(bytes, path, { mode: 0o600, signal })).rejects.toMatchObject({
    code: "UPLOAD_FAILED",
    message: expect.stringContaining("there is a file of this name already"),
  });
  const files = await connection.files(signal);
  const handle = await files.open(path, OPEN.read);
  expect((await files.read(handle, 4, 8))?.toString()).toBe("ab\0\nab\0\n");
  connection.close();
  await files.closed;
});

it("ends a connection whose container stops, so that the host is lost and tried again", async () => {
  const programs = standIns();
  const connection = await connect({ ansible_connection: "docker" });
  const process = await connection.exec("echo begun; read -r x; exit 137", signal);
  await new Promise((resolve) => process.stdout.once("data", resolve));
  programs.fail("Error response from daemon: container 4f5e is not running");
  expect(await endOf(process, "\n")).toMatchObject({
    exit: { kind: "lost", reason: "docker does not lead into web1: container 4f5e is not running" },
  });
  expect(await connection.closed).toContain("is not running");
  programs.fail(undefined);
  const again = await connect({ ansible_connection: "docker" });
  // The same exit code of a command in a container that runs.
  expect((await endOf(await again.exec("exit 137", signal))).exit).toEqual({ kind: "exited", code: 137 });
  again.close();
});

it("leaves no process on a terminal behind", async () => {
  standIns();
  const connection = await connect({ ansible_connection: "docker" });
  const process = await connection.exec("echo $$; exec sleep 1000", signal, {
    pty: { columns: 80, rows: 24 },
  });
  const pid = Number(
    await new Promise<string>((resolve) =>
      process.stdout.once("data", (chunk: Buffer) => resolve(String(chunk))),
    ),
  );
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  connection.close();
  await vi.waitFor(() => expect(existsSync(`/proc/${pid}`)).toBe(false), { timeout: 60_000, interval: 50 });
});

const refusals: readonly (readonly [string, string, string, string | undefined])[] = [
  [
    "docker",
    "Error: No such container: web1",
    "docker does not lead into web1: No such container: web1",
    undefined,
  ],
  [
    "docker",
    "Error response from daemon: Container 4f5e is not running",
    "docker does not lead into web1: Container 4f5e is not running",
    "start it with docker start",
  ],
  [
    "docker",
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
    "docker does not lead into web1: permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
    "does this user have the right to use docker?",
  ],
  [
    "podman",
    "Error: crun: executable file `/bin/sh` not found: No such file or directory: OCI runtime attempted to invoke a command that was not found",
    "podman does not lead into web1: crun: executable file `/bin/sh` not found: No such file or directory: OCI runtime attempted to invoke a command that was not found",
    "Volley works in containers that have a /bin/sh",
  ],
  [
    "lxd",
    "Error: Instance is not running",
    "lxc does not lead into local:web1: Instance is not running",
    "start it with lxc start",
  ],
  [
    "chroot",
    "chroot: cannot change root directory to '/r': Operation not permitted",
    "chroot does not lead into /inventories/web1: chroot: cannot change root directory to '/r': Operation not permitted",
    "run volley as root",
  ],
];

it.each(refusals)("%s that says %j is one line", async (kind, said, message, hint) => {
  const programs = standIns();
  programs.fail(said);
  await expect(
    connect({ ansible_connection: kind, ...(kind === "chroot" ? { ansible_host: "web1" } : {}) }),
  ).rejects.toMatchObject({ code: "CONNECT_FAILED", message: `web1: ${message}`, hint });
});

it("a program that is not installed, and a machine that does not run, are told", async () => {
  vi.stubEnv("PATH", "/nowhere");
  await expect(connect({ ansible_connection: "podman" })).rejects.toMatchObject({
    code: "CONNECT_FAILED",
    message: "web1: there is no podman on this machine",
    hint: "install it, or name the program with ansible_podman_executable",
  });
  await expect(connect({ ansible_connection: "nspawn" })).rejects.toMatchObject({
    code: "CONNECT_FAILED",
    message: "web1: no machine web1 of systemd-nspawn runs here",
  });
  vi.unstubAllEnvs();
});

it("names that no container has, and extra arguments with an open quotation mark, are refused with their place", () => {
  expect(() => hostOf({ ansible_connection: "docker", ansible_host: "-v" })).toThrow(
    'ansible_host of host web1: "-v" is no name of a container',
  );
  expect(() => hostOf({ ansible_connection: "docker", ansible_docker_extra_args: "-H 'x" })).toThrow(
    "ansible_docker_extra_args of host web1: a quotation mark is not closed",
  );
});

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { promisify } from "node:util";
import { Client, type ClientChannel, type ConnectConfig, type SFTPWrapper } from "ssh2";
import type { EmbeddedFleet, EmbeddedHost } from "../../src/embedded/options.ts";
import { PATIENCE_MS } from "../lib/patience.ts";

/** The result of a command on a host. */
export interface ExecResult {
  readonly code: number | null;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** The result of a program on this machine. */
export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Connect ssh2's client to a host with the fleet's key, or as the config says. */
export async function connect(
  fleet: EmbeddedFleet,
  host: EmbeddedHost,
  config: ConnectConfig = {},
): Promise<Client> {
  const client = new Client();
  const ready = new Promise<void>((resolve, reject) => {
    client.once("ready", resolve).once("close", () => reject(new Error("closed before ready")));
    client.on("error", reject);
  });
  const sock = config.sock ?? connectTcp({ host: host.address, port: host.port, noDelay: true });
  const privateKey = readFileSync(fleet.privateKeyPath);
  client.connect({ username: fleet.user, privateKey, ...config, sock });
  await ready;
  return client;
}

/** Start a command. */
export function start(client: Client, command: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => (error ? reject(error) : resolve(channel)));
  });
}

/** Collect what a started command writes and how it ends. */
export async function finish(channel: ClientChannel): Promise<ExecResult> {
  const exit = new Promise<[number | null, string | undefined]>((resolve) => {
    let result: [number | null, string | undefined] = [null, undefined];
    channel.on("exit", (code: number | null, signal?: string) => {
      result = [code, signal];
    });
    channel.on("close", () => resolve(result));
  });
  const [stdout, stderr, [code, signal]] = await Promise.all([text(channel), text(channel.stderr), exit]);
  return { code, signal, stdout, stderr };
}

/** Run a command with this stdin to its end. */
export function exec(client: Client, command: string, stdin = ""): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error) return reject(error);
      // Listen at once: the exit may be in the same packet as the start.
      const finished = finish(channel);
      channel.end(stdin);
      resolve(finished);
    });
  });
}

/** Run a command and returns its stdout in bytes. */
export async function execBytes(client: Client, command: string): Promise<Buffer> {
  const channel = await start(client, command);
  channel.stderr.resume();
  return await buffer(channel);
}

/** Open an SFTP session. */
export function openSftp(client: Client): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => {
    client.sftp((error, sftp) => (error ? reject(error) : resolve(sftp)));
  });
}

/** Turn one of ssh2's calls with a callback into a promise of its last argument. */
export function call<Value>(
  request: (callback: (error?: Error | null, value?: Value) => void) => void,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    request((error, value) => (error ? reject(error) : resolve(value as Value)));
  });
}

/** Run a program of this machine; undefined when it is not installed. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { readonly stdin?: string } = {},
): Promise<ProgramResult> {
  const child = promisify(execFile)(program, [...args], { timeout: PATIENCE_MS, encoding: "utf8" });
  child.child.stdin?.end(options.stdin ?? "");
  try {
    return { code: 0, ...(await child) };
  } catch (error) {
    const failure = error as { code?: number; stdout?: string; stderr?: string };
    return { code: failure.code ?? -1, stdout: failure.stdout ?? "", stderr: failure.stderr ?? "" };
  }
}

/** Wait until a client's connection is closed, by an error or without. */
export async function closed(client: Client): Promise<void> {
  client.on("error", () => {});
  await new Promise<void>((resolve) => client.once("close", () => resolve()));
}

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { WaitingScript } from "../../../src/controller/session/upload.ts";
import type { EmbeddedFleetOptions } from "../../../src/embedded/options.ts";
import type { Connection, RemoteProcess } from "../../../src/transport/transport.ts";
import { PATIENT } from "../../lib/patience.ts";
import { connectTo, fleetStarter, hostsOf, transportsOpener } from "../../transport/lib/reach.ts";

const startFleet = fleetStarter();
const open = transportsOpener();
const signal = new AbortController().signal;

async function connected(options: Partial<EmbeddedFleetOptions> = {}) {
  const fleet = await startFleet(options);
  const [host] = hostsOf(fleet);
  const transports = await open([host!], { knownHostsFiles: [fleet.knownHostsPath] });
  return { home: fleet.hosts[0]!.home, connection: await connectTo(transports, host!) };
}

async function outputOf({ stdout, exit }: RemoteProcess): Promise<string> {
  let text = "";
  stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  await exit;
  return text;
}

test("goes on when released, with the input that is behind the word", async () => {
  const { home, connection } = await connected();
  const script = new WaitingScript(connection, "touch went-on; cat", signal);
  await connection.upload(Buffer.from("sent"), "file", { mode: 0o600, signal });
  expect(existsSync(join(home, "went-on"))).toBe(false);
  const process = await script.release();
  process!.stdin.end("a job\nand more");
  expect(await outputOf(process!)).toBe("a job\nand more");
  expect(existsSync(join(home, "went-on"))).toBe(true);
});

test("does nothing when dismissed", async () => {
  const { home, connection } = await connected();
  const script = new WaitingScript(connection, "touch went-on", signal);
  await script.dismiss();
  expect(existsSync(join(home, "went-on"))).toBe(false);
});

test("leaves the only session to the upload, and is then not there", async () => {
  const { connection } = await connected({ faults: () => ({ kind: "maxSessions", sessions: 1 }) });
  const script = new WaitingScript(connection, "true", signal);
  await connection.upload(Buffer.alloc(1_000_000), "file", { mode: 0o600, signal });
  expect(await script.release()).toBeUndefined();
  await script.dismiss();
});

test("takes no session from an upload that begins later", async () => {
  const { home, connection } = await connected({ faults: () => ({ kind: "maxSessions", sessions: 1 }) });
  const script = new WaitingScript(connection, "true", signal);
  expect(await script.release()).toBeUndefined();
  await connection.upload(Buffer.from("sent"), "file", { mode: 0o600, signal });
  expect(existsSync(join(home, "file"))).toBe(true);
});

test("is not there once the host has ended it, and what it said is dropped", async () => {
  // This login shell prints the script, and ends.
  const { connection } = await connected({ shell: "/bin/echo" });
  const exits: Promise<unknown>[] = [];
  const exec: Connection["exec"] = async (...words) => {
    const process = await connection.exec(...words);
    exits.push(process.exit);
    return process;
  };
  const script = new WaitingScript({ ...connection, exec }, "true", signal);
  await expect.poll(() => script.release(), PATIENT).toBeUndefined();
  expect(await Promise.all(exits)).toEqual([{ kind: "exited", code: 0 }]);
});

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TransportsOptions } from "../../../src/controller/prepare/reach.ts";
import type { EmbeddedFleetOptions } from "../../../src/embedded/options.ts";
import { OPEN } from "../../../src/transport/sftp/codec.ts";
import { FILE_SERVER_SCRIPT, openFileSession } from "../../../src/transport/sftp/open-file-session.ts";
import { connectTo, fleetStarter, hostsOf, makeHost, transportsOpener } from "../lib/reach.ts";
import { scratchDirectory, sftpServer } from "./server.ts";

const startFleet = fleetStarter();
const open = transportsOpener();
const scratch = scratchDirectory();
const signal = new AbortController().signal;

async function reach(
  transport: NonNullable<TransportsOptions["transport"]>,
  options: Partial<EmbeddedFleetOptions> = {},
) {
  const fleet = await startFleet(options);
  const [host] = hostsOf(fleet);
  const transports = await open([host!], { knownHostsFiles: [fleet.knownHostsPath], transport });
  return { host: fleet.hosts[0]!, connection: await connectTo(transports, host!) };
}

const kinds = existsSync("/usr/bin/ssh") ? (["ssh2", "openssh"] as const) : (["ssh2"] as const);

describe.each(kinds)("files over %s", (transport) => {
  it("are written below the home, several sessions on one connection", async () => {
    const { host, connection } = await reach(transport);
    const sessions = await Promise.all([connection.files(signal), connection.files(signal)]);
    await Promise.all(
      sessions.map(async (files, index) => {
        const handle = await files.open(`file${index}`, OPEN.write | OPEN.create | OPEN.exclusive);
        const bytes = Buffer.alloc(1_000_000, 65 + index);
        const size = files.maxWriteBytes;
        for (let at = 0; at < bytes.length; at += size)
          void files.write(handle, at, bytes.subarray(at, at + size));
        await files.closeHandle(handle);
      }),
    );
    expect(readFileSync(join(host.home, "file1")).equals(Buffer.alloc(1_000_000, 66))).toBe(true);
    expect(host.stats.connections).toBe(1);
    sessions[0]!.close();
    expect((await sessions[1]!.list(".")).map(({ name }) => name)).toEqual(
      expect.arrayContaining(["file0", "file1"]),
    );
    connection.close();
    await connection.closed;
    await expect(sessions[1]!.stat(".")).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  });

  it("are not said to be missing where a profile prints before SFTP begins", async () => {
    const faults = () => ({ kind: "noisyBanner", stdout: "Welcome!\n", inSftp: true }) as const;
    const { host, connection } = await reach(transport, { faults });
    await expect(connection.files(signal)).rejects.toMatchObject({
      code: "SFTP_UNAVAILABLE",
      message: 'web01: the answer is not SFTP: it begins with "Welcome!"',
      hint: expect.stringContaining("~/.bashrc"),
    });
    const sent = connection.upload(Buffer.from("x"), "sent", { mode: 0o600, signal });
    // OpenSSH's own transport sends files on the input of a command.
    if (transport === "openssh") await sent;
    else {
      await expect(sent).rejects.toMatchObject({
        code: "UPLOAD_FAILED",
        message: 'web01: the answer is not SFTP: it begins with "Welcome!"',
        hint: expect.stringContaining("~/.bashrc"),
      });
    }
    expect(existsSync(join(host.home, "sent"))).toBe(transport === "openssh");
  });

  // An embedded host, unlike sshd, leaves the channel open after it refused a subsystem, and ssh waits for its end.
  it.skipIf(transport === "openssh")("cannot be had where there is no SFTP", async () => {
    const { connection } = await reach(transport, { faults: () => ({ kind: "noSftp" }) });
    await expect(connection.files(signal)).rejects.toMatchObject({
      code: "SFTP_UNAVAILABLE",
      hint: "its sshd_config needs a Subsystem sftp line",
    });
    connection.close();
  });

  it("fail with the connection", async () => {
    const { host, connection } = await reach(transport);
    const files = await connection.files(signal);
    host.dropConnections();
    await expect(files.stat(".")).rejects.toMatchObject({ code: "CONNECTION_LOST" });
    connection.close();
  });

  it.skipIf(sftpServer === undefined)("can be had of a server started as a command", async () => {
    const { connection } = await reach(transport);
    const process = await connection.exec(FILE_SERVER_SCRIPT, signal);
    const files = await openFileSession(process, { host: "web01", signal });
    expect(await files.realPath("/")).toBe("/");
    files.close();
    expect(await process.exit).toBeDefined();
    connection.close();
  });
});

it.skipIf(sftpServer === undefined)("files of this machine itself", async () => {
  const local = makeHost("here", { connection: "local" });
  const connection = await connectTo(await open([local]), local);
  const files = await connection.files(signal);
  const path = join(scratch(), "made");
  await files.makeDirectory(path);
  expect(existsSync(path)).toBe(true);
  files.close();
});

import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copy } from "../../src/actions/files/copy.ts";
import { file } from "../../src/actions/files/file.ts";
import type { ActionCall } from "../../src/core/action.ts";
import type { Connection } from "../../src/transport/transport.ts";
import { makeSandbox, pass } from "../actions/harness.ts";
import { realSessions, sftpServer } from "../transport/sftp/server.ts";
import { type DirectHost, startDirectHost } from "./lib/host.ts";

const open = realSessions();
let host: DirectHost;

beforeAll(async () => {
  host = await startDirectHost();
});
afterAll(() => host?.stop());

describe.skipIf(sftpServer === undefined)("names that are not UTF-8, over OpenSSH's sftp-server", () => {
  it("are worked on by recurse, copied, and removed", async () => {
    using sandbox = makeSandbox();
    const { connection } = host;
    const real = { exec: connection.exec.bind(connection), files: () => open() } as unknown as Connection;
    const { system } = await host.open({ root: sandbox.root, connection: real });
    const run = async (call: ActionCall): Promise<string> =>
      (await pass(call, system, sandbox.context())).state;
    const raw = (path: string): Buffer =>
      Buffer.concat([Buffer.from(`${sandbox.root}/`), Buffer.from(path, "latin1")]);
    mkdirSync(join(sandbox.root, "srv"));
    mkdirSync(raw("srv/d\xe9"), { mode: 0o755 });
    writeFileSync(raw("srv/d\xe9/caf\xe9"), "x\n", { mode: 0o644 });
    symlinkSync(Buffer.from("d\xe9/caf\xe9", "latin1"), raw("srv/l\xff"));

    const owned = file({ path: "/srv", state: "directory", recurse: true, mode: "u=rwX,go=" });
    expect([await run(owned), await run(owned)]).toEqual(["changed", "unchanged"]);
    expect(lstatSync(raw("srv/d\xe9/caf\xe9")).mode & 0o777).toBe(0o600);
    const copied = copy({ src: "/srv", dest: "/copy", remote_src: true });
    expect([await run(copied), await run(copied)]).toEqual(["changed", "unchanged"]);
    expect(readFileSync(raw("copy/srv/l\xff"), "utf8")).toBe("x\n");
    for (const name of await system.list("/srv")) await system.remove(`/srv/${name}`);
    expect(readdirSync(join(sandbox.root, "srv"))).toEqual([]);
    expect(await run(file({ path: "/copy", state: "absent" }))).toBe("changed");
    expect(existsSync(join(sandbox.root, "copy"))).toBe(false);
    await system.close();
  });
});

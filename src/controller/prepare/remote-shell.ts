import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../core/errors.ts";
import type { RemoteShell, StartRemotely } from "../../core/program.ts";

// Programs such as rsync start `ssh` to reach a host. A small program in its place passes on to this process, which has a
// connection to the host already: with its password, its way over other hosts, and as the user that a task becomes.

/**
 * The program in the place of `ssh`. It opens two connections: over the first go the command line and what the command reads
 * and writes, over the second how the command ended. `process.stdout` is not used: its writing blocks, and what is read meanwhile may be waited for.
 */
const PROGRAM = `const net = require("node:net");
// rsync ends its shell by SIGUSR1, at which Node would open a debugger; the command ends with its input.
process.on("SIGUSR1", () => {});
const [path, , ...words] = process.argv.slice(2);
const open = (head) => {
  const socket = net.connect({ path, allowHalfOpen: true });
  socket.on("error", (error) => {
    process.stderr.write(error.message + "\\n");
    process.exit(255);
  });
  socket.write(head + "\\n");
  return socket;
};
const data = open(JSON.stringify(words.join(" ")));
const end = open("end");
process.stdin.on("error", () => data.end()).pipe(data);
const out = new net.Socket({ fd: 1, readable: false }).on("error", () => data.destroy());
// rsync asks for the exit code as soon as the output ends.
data.pipe(out, { end: false });
let told = "";
end.setEncoding("utf8").on("data", (text) => (told += text));
Promise.all([data, end].map((socket) => new Promise((done) => socket.on("end", done)))).then(() => {
  const { code, stderr } = JSON.parse(told);
  out.write("", () => process.stderr.write(stderr, () => process.exit(code)));
});
`;

/** Make a command in the place of `ssh`, in a directory that only this user can enter. */
export async function openRemoteShell(start: StartRemotely): Promise<RemoteShell> {
  const directory = await mkdtemp(join(tmpdir(), "volley-shell-"));
  const program = join(directory, "remote-shell.cjs");
  const path = join(directory, "socket");
  await writeFile(program, PROGRAM, { mode: 0o600 });
  let tell!: (ended: string) => void;
  const ended = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).once("close", () => sockets.delete(socket));
    void readHead(socket).then(async (head) => {
      if (head === "end") return socket.end(await ended);
      const { code, stderr } = await start(JSON.parse(head) as string, socket).catch((thrown: unknown) => ({
        code: 255,
        stderr: `${messageOf(thrown)}\n`,
      }));
      tell(JSON.stringify({ code, stderr }));
      socket.end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(path, resolve);
  });
  return {
    argv: [process.execPath, program, path],
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Read the first line of a connection, and leave what follows. */
function readHead(socket: Socket): Promise<string> {
  let head = Buffer.alloc(0);
  return new Promise((resolve) => {
    const onData = (piece: Buffer): void => {
      head = Buffer.concat([head, piece]);
      const at = head.indexOf("\n");
      if (at < 0) return;
      socket.off("data", onData).pause();
      const rest = head.subarray(at + 1);
      if (rest.length > 0) socket.unshift(rest);
      resolve(head.toString("utf8", 0, at));
    };
    socket.on("data", onData);
  });
}

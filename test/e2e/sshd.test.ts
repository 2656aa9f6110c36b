import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTransports } from "../../src/controller/prepare/transports.ts";
import { run } from "../../src/controller/run.ts";
import { type HeldPort, holdPort } from "../../src/embedded/host-server.ts";
import { describeSignal, type FanOutOptions } from "../../src/fanout/exec/fan-out.ts";
import { run as runOn } from "../fanout/fleet.ts";
import { makeHost } from "../transport/lib/reach.ts";
import { follow } from "./lib/drive.ts";
import { makeProject, type Project, playbookText, scratchDirectory } from "./lib/project.ts";

const SSHD = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].find((path) => existsSync(path));
const { username, shell, homedir } = userInfo();
const mayLogIn = !/nologin|false$/.test(shell ?? "") && existsSync(homedir);

/** The machine's own sshd, as the user who runs the tests, on a port of its own. */
describe.skipIf(SSHD === undefined || !mayLogIn)("a real sshd", () => {
  const scratch = scratchDirectory();
  let server: ChildProcess;
  let held: HeldPort;
  let project: Project;

  beforeAll(async () => {
    const directory = join(scratch(), "sshd");
    mkdirSync(directory, { mode: 0o700 });
    const at = (name: string): string => join(directory, name);
    for (const key of ["host", "user"])
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(key)]);
    held = await holdPort();
    const { port } = held;
    writeFileSync(at("known_hosts"), `[127.0.0.1]:${port} ${readFileSync(at("host.pub"), "utf8")}`);
    const config = [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${at("host")}`,
      `AuthorizedKeysFile ${at("user.pub")}`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      "PermitRootLogin prohibit-password",
      "Subsystem sftp internal-sftp",
    ];
    writeFileSync(at("config"), `${config.join("\n")}\n`);
    // Of root's sshd alone, which will not start without it.
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
    server = spawn(SSHD!, ["-D", "-e", "-f", at("config")], { stdio: "ignore" });
    await listening(port);
    project = makeProject(scratch(), {
      "site.ts": playbookText(
        `{ name: "Two files", hosts: "all", tasks: ({ task, host }) => {
  task("Make the directory", file({ path: String(host.vars.place), state: "directory", mode: 0o750 }));
  task("Write into it", copy({ content: "over a real sshd\\n", dest: host.vars.place + "/note" }));
} }`,
      ),
    });
    project.write(
      "inventory.yaml",
      JSON.stringify({
        all: {
          hosts: { here: { ansible_host: "127.0.0.1", ansible_port: port, ansible_user: username } },
          vars: { ansible_ssh_private_key_file: at("user"), place: join(directory, "place") },
        },
      }),
    );
  });
  afterAll(() => {
    server?.kill();
    held?.release();
  });

  const provision = () =>
    follow(
      run({
        inventory: project.path("inventory.yaml"),
        playbook: project.path("site.ts"),
        knownHostsFiles: [join(scratch(), "sshd", "known_hosts")],
        sshConfig: "none",
        cwd: project.directory,
      }),
    );

  it("is provisioned, and the second time nothing is changed or sent", async () => {
    const first = await provision();
    expect(first.summary.hosts[0]).toMatchObject({ outcome: "ok", tally: { changed: 2, failed: 0 } });
    expect(readFileSync(join(scratch(), "sshd", "place", "note"), "utf8")).toBe("over a real sshd\n");
    const second = await provision();
    expect(second.summary.hosts[0]).toMatchObject({
      outcome: "ok",
      uploadedBytes: 0,
      tally: { unchanged: 2, changed: 0 },
    });
  });

  describe("runs a command as ssh does", () => {
    const exec = async (line: string, options: Partial<FanOutOptions> = {}) => {
      const { port } = held;
      const directory = join(scratch(), "sshd");
      const host = makeHost("here", {
        address: "127.0.0.1",
        port,
        user: username,
        privateKeyFile: join(directory, "user"),
      });
      const transports = await openTransports(
        [host],
        {
          sshConfig: "none",
          knownHostsFiles: [join(directory, "known_hosts")],
          connectTimeoutMs: 30_000,
          connectRetries: 0,
        },
        new AbortController().signal,
      );
      try {
        const hosts = [{ name: "here", become: null, ...transports.of(host) }];
        const { results, stdout, stderr } = await runOn(hosts, line, options);
        return { ...results[0]!, stdout: stdout.here ?? "", stderr: stderr.here ?? "" };
      } finally {
        transports.close();
      }
    };

    it("whose process is the command's own, with its name and its signals", async () => {
      expect(await exec("kill -TERM $$; echo after")).toMatchObject({
        outcome: "failed",
        exit: { kind: "signalled", signal: "SIGTERM" },
        stdout: "",
      });
      const self = await exec("", {
        command: { kind: "words", words: ["sh", "-c", "echo $$; ps -o pid=,args= -p $$; :"] },
      });
      const [pid, shown] = self.stdout.trim().split("\n");
      expect(shown?.trim()).toBe(`${pid} sh -c echo $$; ps -o pid=,args= -p $$; :`);
      const parent = await exec("ps -o args= -p $PPID; :");
      expect(parent.stdout).toMatch(/^sshd(-session)?: /);
      expect((await exec("exit 143")).exit).toEqual({ kind: "exited", code: 143 });
      const missing = await exec("nosuchcmd");
      expect([missing.exit, missing.stderr]).toEqual([
        { kind: "exited", code: 127 },
        expect.stringMatching(/^sh: (1: )?nosuchcmd: (command )?not found\n$/),
      ]);
    });

    it.skipIf(!existsSync("/usr/bin/pgrep"))("which a search by name does not find", async () => {
      const words = ["pgrep", "-f", "nosuch[p]rog|nosuchprog"];
      expect(await exec("pgrep -f nosuchprog")).toMatchObject({ exit: { code: 1 }, stdout: "" });
      expect(await exec("", { command: { kind: "words", words } })).toMatchObject({
        exit: { code: 1 },
        stdout: "",
      });
    });

    it("that may end by a signal without a name", async () => {
      for (const number of [34, 64]) {
        const { outcome, exit } = await exec(`kill -${number} $$; echo after`);
        expect([outcome, exit?.kind], String(number)).toEqual(["failed", "signalled"]);
        const signal = exit?.kind === "signalled" ? exit.signal : "";
        expect(describeSignal(signal)).toBe("killed by a real-time signal");
      }
    });

    it("and leaves its children alone, also those that hold its output", async () => {
      const { outcome, stdout } = await exec("sleep 7191 & echo $!");
      expect([outcome, stdout]).toEqual(["ok", expect.stringMatching(/^\d+\n$/)]);
      const pid = Number(stdout);
      expect(process.kill(pid, 0)).toBe(true);
      process.kill(pid);
    });
  });
});

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    const answered = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("close", () => resolve(false)).once("connect", () => socket.destroy());
    });
    if (answered) return;
    await sleep(50);
  }
  throw new Error("sshd does not listen");
}

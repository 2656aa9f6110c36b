import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { exitCodeOf } from "../../../src/fanout/exec/fan-out.ts";
import { openInputFile } from "../../../src/fanout/exec/remote-command.ts";
import { underLimit, until } from "../../lib/patience.ts";
import { fleetStarter, run } from "../fleet.ts";

const start = fleetStarter();

/** True when a process with this command line exists. */
function isRunning(line: string): boolean {
  const processes = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
  return processes.split("\n").some((args) => args === line);
}

describe("a command", () => {
  it("runs on every host, with both its outputs and its exit code", async () => {
    const { hosts } = await start({ count: 3 });
    const { results, stdout, stderr } = await run(
      hosts,
      'echo "in $(basename "$HOME")"; echo oops >&2; [ "$VOLLEY_EMBEDDED_HOST" != web02 ] || exit 7',
    );
    expect(stdout).toEqual({ web01: "in web01\n", web02: "in web02\n", web03: "in web03\n" });
    expect(stderr).toEqual({ web01: "oops\n", web02: "oops\n", web03: "oops\n" });
    expect(results.map(({ host, outcome, exit }) => [host, outcome, exit])).toEqual([
      ["web01", "ok", { kind: "exited", code: 0 }],
      ["web02", "failed", { kind: "exited", code: 7 }],
      ["web03", "ok", { kind: "exited", code: 0 }],
    ]);
    expect(results.map(({ stdoutBytes, stderrBytes }) => [stdoutBytes, stderrBytes])).toEqual([
      [9, 5],
      [9, 5],
      [9, 5],
    ]);
    expect(exitCodeOf(results)).toBe(2);
  });

  it("is passed its words as they are", async () => {
    const { hosts } = await start({ count: 1 });
    const words = ["printf", "<%s>", "a b", "$HOME", "it's", "*", "", "x\ny", "-n", '"'];
    const { stdout } = await run(hosts, "", { command: { kind: "words", words } });
    expect(stdout.web01).toBe(
      words
        .slice(2)
        .map((word) => `<${word}>`)
        .join(""),
    );
  });

  it("may be any line of shell, also one that is wrong", async () => {
    const { hosts } = await start({ count: 1 });
    const { stdout } = await run(hosts, 'for i in 1 2; do echo "it\'s $i"; done | tail -1; exit 0; echo no');
    expect(stdout.web01).toBe("it's 2\n");
    const wrong = await run(hosts, "if true");
    expect(wrong.results[0]?.outcome).toBe("failed");
    expect(wrong.stderr.web01).toMatch(/syntax error|unexpected/i);
  });

  it("has an empty stdin, and environment variables that are not on its command line", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const env = { TOKEN: "se'cret $x\nsecond", OTHER: "" };
    const { stdout } = await run(
      hosts,
      'cat; echo "[$TOKEN|$OTHER]"; env | grep -c ^OTHER=; ps -o args= -p $PPID,$$',
      {
        env,
      },
    );
    expect(stdout.web01).toMatch(/^\[se'cret \$x\nsecond\|\]\n1\n/);
    expect(stdout.web01?.match(/se'cret/g)).toHaveLength(1);
    expect(fleet.hosts[0]?.stats.execs).toBe(1);
  });
});

describe("input", () => {
  const directory = mkdtempSync(join(tmpdir(), "volley-input-"));
  afterEach(() => {
    for (const name of readdirSync(directory)) rmSync(join(directory, name));
  });

  it("reaches every host whole, and leaves nothing there", async () => {
    const { hosts, fleet } = await start({ count: 3 });
    const file = join(directory, "input");
    writeFileSync(file, Buffer.alloc(1_500_000, "0123456789abcdef\n"));
    const input = await openInputFile(file);
    const { stdout } = await run(hosts, "sha256sum", { input });
    await input.close();
    const sum = execFileSync("sha256sum", {
      input: Buffer.alloc(1_500_000, "0123456789abcdef\n"),
      encoding: "utf8",
    });
    expect(stdout).toEqual({ web01: sum, web02: sum, web03: sum });
    for (const { home } of fleet.hosts) expect(readdirSync(join(home, ".cache/volley"))).toEqual([]);
  });

  it("need not be read by the command", async () => {
    const { hosts } = await start({ count: 1 });
    const file = join(directory, "input");
    writeFileSync(file, Buffer.alloc(1_000_000));
    const input = await openInputFile(file);
    const { results, stdout } = await run(hosts, "echo done", { input });
    await input.close();
    expect([stdout.web01, results[0]?.outcome]).toEqual(["done\n", "ok"]);
  });

  it("that has become shorter is not run on", async () => {
    const { hosts } = await start({ count: 1 });
    const file = join(directory, "input");
    writeFileSync(file, "short");
    const opened = await openInputFile(file);
    const cancel = new AbortController();
    const { results, stdout } = await run(hosts, "echo ran", {
      input: {
        ...opened,
        bytes: 1_000,
        sendTo: async (stdin, ended) => {
          await opened.sendTo(stdin, ended);
          stdin.end();
        },
      },
      cancel: cancel.signal,
    });
    await opened.close();
    expect(stdout.web01).toBeUndefined();
    expect(results[0]?.exit).toEqual({ kind: "exited", code: 125 });
  });
});

describe("a script", () => {
  it("runs with sh, or with what its first line names, and gets arguments and stdin", async () => {
    const { hosts } = await start({ count: 1 });
    const plain = Buffer.from('echo "$1,$#"\nread line\necho "read $line"\n');
    const directory = mkdtempSync(join(tmpdir(), "volley-input-"));
    writeFileSync(join(directory, "in"), "from stdin\n");
    const input = await openInputFile(join(directory, "in"));
    const shell = await run(hosts, "", {
      command: { kind: "script", bytes: plain, words: ["a b", "c"] },
      input,
    });
    await input.close();
    rmSync(directory, { recursive: true });
    expect(shell.stdout.web01).toBe("a b,2\nread from stdin\n");
    const node = Buffer.from(
      "#!/usr/bin/env node\nconsole.log(process.argv.slice(2), process.env.NAME);process.exit(9)\n",
    );
    const script = await run(hosts, "", {
      command: { kind: "script", bytes: node, words: ["x y"] },
      env: { NAME: "value" },
    });
    expect([script.stdout.web01, script.results[0]?.exit]).toEqual([
      "[ 'x y' ] value\n",
      { kind: "exited", code: 9 },
    ]);
  });
});

describe("the end of a command", () => {
  it("is not put off by a child that holds its output, silent or not, with a session of its own or not", async () => {
    const { hosts } = await start({ count: 1 });
    const lines = [
      "sleep 7121 & echo begun",
      "setsid sleep 7121 & echo begun",
      "(while sleep 0.3; do echo more; done) & echo begun",
    ];
    for (const line of lines) {
      const { results, stdout } = await run(hosts, line);
      expect([results[0]?.outcome, stdout.web01?.startsWith("begun\n")], line).toEqual(["ok", true]);
    }
    await underLimit(0.5, async (seconds) => {
      const late = await run(hosts, "setsid -w sleep 7122; echo never", { timeoutMs: seconds * 1_000 });
      expect([late.results[0]?.outcome, late.stdout]).toEqual(["timedOut", {}]);
      return (isRunning("sleep 7121") && isRunning("sleep 7122")) || undefined;
    });
    execFileSync("pkill", ["-f", "^sleep 712[12]$"]);
  });

  it("comes only when all of its own output has been read", async () => {
    const { hosts } = await start({ count: 1 });
    let isFirst = true;
    const { results, stdout } = await run(hosts, "head -c 300000 /dev/zero | tr '\\0' x", {
      listener: {
        // The first reading takes longer than silence may.
        output: async () => {
          if (isFirst) await sleep(2_500);
          isFirst = false;
        },
        end: () => undefined,
      },
    });
    expect([results[0]?.outcome, stdout.web01?.length]).toEqual(["ok", 300_000]);
  });

  it("comes when it takes too long, for all that it started", async () => {
    const { hosts } = await start({ count: 2 });
    const results = await underLimit(0.7, async (seconds) => {
      const line = "echo begun; sleep 7101 & sleep 7102; echo never";
      const late = await run(hosts, line, { timeoutMs: seconds * 1_000 });
      expect(late.results.map(({ outcome }) => outcome)).toEqual(["timedOut", "timedOut"]);
      return late.stdout.web01 === "begun\n" && late.stdout.web02 === "begun\n" ? late.results : undefined;
    });
    await until(() => !isRunning("sleep 7101") && !isRunning("sleep 7102"));
    expect(exitCodeOf(results)).toBe(2);
  });

  it("comes with cancel; hosts that have not begun do not", async () => {
    const { hosts, fleet } = await start({ count: 4 });
    const cancel = new AbortController();
    const begun: string[] = [];
    const running = run(hosts, "echo begun; sleep 7103", {
      forks: 2,
      cancel: cancel.signal,
      listener: {
        output: (host) => {
          begun.push(host);
          if (begun.length === 2) cancel.abort();
          return undefined;
        },
        end: () => undefined,
      },
    });
    const { results } = await running;
    expect(results.map(({ outcome, exit }) => [outcome, exit?.kind])).toEqual([
      ["cancelled", "signalled"],
      ["cancelled", "signalled"],
      ["cancelled", undefined],
      ["cancelled", undefined],
    ]);
    expect(fleet.hosts.map(({ stats }) => stats.connections)).toEqual([1, 1, 0, 0]);
    expect(exitCodeOf(results)).toBe(130);
    await until(() => !isRunning("sleep 7103"));
  });

  it("lets a command that heeds TERM clean up", async () => {
    const { hosts } = await start({ count: 1 });
    const cancel = new AbortController();
    const { results, stdout } = await run(
      hosts,
      'trap "echo cleaned; exit 0" TERM; echo begun; sleep 7104 & wait',
      {
        cancel: cancel.signal,
        listener: {
          output: () => {
            cancel.abort();
            return undefined;
          },
          end: () => undefined,
        },
      },
    );
    expect([stdout.web01, results[0]?.outcome]).toEqual(["begun\ncleaned\n", "ok"]);
  });

  it("is forced on one that does not", async () => {
    const { hosts } = await start({ count: 1 });
    await underLimit(0.5, async (seconds) => {
      const line = 'trap "" TERM HUP; echo begun; sleep 7105; sleep 7105';
      const { results, stdout } = await run(hosts, line, { timeoutMs: seconds * 1_000 });
      expect(results[0]?.outcome).toBe("timedOut");
      return stdout.web01 === "begun\n" || undefined;
    });
    await until(() => !isRunning("sleep 7105"));
  });

  it("comes when the connection is dropped", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { results } = await run(hosts, "echo begun; sleep 7106", {
      listener: {
        output: () => {
          fleet.hosts[0]?.dropConnections();
          return undefined;
        },
        end: () => undefined,
      },
    });
    expect([results[0]?.outcome, exitCodeOf(results)]).toEqual(["lost", 4]);
    await until(() => !isRunning("sleep 7106"));
  });

  it("is not waited for once all is dropped", async () => {
    const { hosts } = await start({ count: 1 });
    const [cancel, kill] = [new AbortController(), new AbortController()];
    const { results } = await run(hosts, 'trap "" TERM HUP; echo begun; sleep 7107; sleep 7107', {
      cancel: cancel.signal,
      kill: kill.signal,
      listener: {
        output: () => {
          cancel.abort();
          kill.abort();
          return undefined;
        },
        end: () => undefined,
      },
    });
    expect(results[0]).toMatchObject({ outcome: "cancelled", exit: { kind: "lost" } });
    await until(() => !isRunning("sleep 7107"));
  });
});

describe("hosts", () => {
  it("that cannot be reached do not hold up the others", async () => {
    const { hosts } = await start({
      count: 4,
      faults: (index) =>
        [undefined, { kind: "refuse" } as const, { kind: "rejectAuth" } as const, undefined][index],
    });
    const { results } = await run(hosts, "true");
    expect(results.map(({ outcome, error }) => [outcome, error?.code])).toEqual([
      ["ok", undefined],
      ["unreachable", "CONNECT_FAILED"],
      ["unreachable", "AUTH_FAILED"],
      ["ok", undefined],
    ]);
    expect(exitCodeOf(results)).toBe(4);
  });

  it("that were logged in to are not called unreachable, whatever they refuse then", async () => {
    const { hosts } = await start({ count: 1, faults: () => ({ kind: "maxSessions", sessions: 0 }) });
    const { results } = await run(hosts, "true");
    expect(results[0]).toMatchObject({ outcome: "failed", exit: undefined });
    expect(results[0]?.error?.message).toMatch(/^web01 grants no further session/);
    expect(exitCodeOf(results)).toBe(2);
  });

  it("are worked on a few at a time, each place taken as soon as it is free", async () => {
    const { hosts } = await start({ count: 7 });
    let atWork = 0;
    let most = 0;
    const { results } = await run(hosts, "true", {
      forks: 3,
      listener: {
        start: () => {
          most = Math.max(most, ++atWork);
        },
        output: () => undefined,
        end: () => {
          atWork--;
          return undefined;
        },
      },
    });
    expect(results.map(({ outcome }) => outcome)).toEqual(Array(7).fill("ok"));
    expect(most).toBe(3);
  });

  it("are read no faster than their output is taken", async () => {
    const { hosts } = await start({ count: 1 });
    let taking = 0;
    let most = 0;
    const { results, stdout } = await run(hosts, "head -c 4000000 /dev/zero | tr '\\0' x", {
      listener: {
        output: async () => {
          most = Math.max(most, ++taking);
          await sleep(1);
          taking--;
        },
        end: () => undefined,
      },
    });
    expect([results[0]?.outcome, stdout.web01?.length, most]).toEqual(["ok", 4_000_000, 1]);
  });

  it("are all dropped when what takes their output fails", async () => {
    const { hosts } = await start({ count: 2 });
    const running = run(hosts, "echo begun; sleep 7108", {
      listener: {
        output: async () => {
          throw new Error("the disk is full");
        },
        end: () => undefined,
      },
    });
    await expect(running).rejects.toThrow("the disk is full");
    await until(() => !isRunning("sleep 7108"));
  });
});

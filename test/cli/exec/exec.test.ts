import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEmbeddedFleet } from "../../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { builtCli, type CliEnd, volley } from "../../e2e/lib/cli.ts";
import { volleyHere } from "../../e2e/lib/here.ts";

const directory = mkdtempSync(join(tmpdir(), "volley-exec-"));
let fleet: EmbeddedFleet;

beforeAll(async () => {
  fleet = await startEmbeddedFleet({
    count: 5,
    faults: (index) => (index === 4 ? { kind: "refuse" } : undefined),
  });
  const lines = fleet.hosts.map(
    ({ name, address, port }) =>
      `${name} ansible_host=${address} ansible_port=${port} ansible_user=${fleet.user} ansible_ssh_private_key_file=${fleet.privateKeyPath}`,
  );
  writeFileSync(join(directory, "inventory.ini"), `${lines.join("\n")}\n[up]\nweb[01:04]\n`);
  await builtCli();
});
afterAll(async () => {
  await fleet.stop();
  rmSync(directory, { recursive: true });
});

type Env = Readonly<Record<string, string>>;

const wordsOf = (args: readonly string[]): readonly string[] => [
  "exec",
  ...["--ssh-config", "none", "--known-hosts", fleet.knownHostsPath, "--connect-retries", "0"],
  ...args,
];
const givenOf = (env: Env) => ({
  cwd: directory,
  env: { LC_ALL: "C.UTF-8", NO_COLOR: "1", XDG_STATE_HOME: join(directory, "state"), ...env },
});

function exec(args: readonly string[], { env = {} }: { readonly env?: Env } = {}): Promise<CliEnd> {
  return volleyHere(wordsOf(args), givenOf(env));
}

/** For what a process alone has: standard input, signals, and what it has loaded. */
function execApart(
  args: readonly string[],
  { env = {}, ...rest }: Omit<Parameters<typeof volley>[1], "cwd"> = {},
): Promise<CliEnd> {
  return volley(wordsOf(args), { ...givenOf(env), ...rest });
}

const sorted = (text: string): readonly string[] => text.trimEnd().split("\n").sort();
const withoutTimes = (text: string): string => text.replace(/in [\dhms. ]+s$/gm, "in TIME");

describe("volley exec", () => {
  it("shows lines behind the names of their hosts, and stderr on stderr", async () => {
    const { code, stdout, stderr } = await exec(["web[01-02]", "printf 'one\\ntwo'; echo oops >&2"]);
    expect(sorted(stdout)).toEqual(["web01 │ one", "web01 │ two", "web02 │ one", "web02 │ two"]);
    expect(sorted(withoutTimes(stderr))).toEqual(["web01 ! oops", "web02 ! oops", "✔ 2 hosts ok in TIME"]);
    expect(code).toBe(0);
  });

  it("passes words on as they are, whatever options they look like", async () => {
    const words = ["printf", "%s|", "-B", "--version", "a  b", "$HOME", "--"];
    const { code, stdout } = await exec(["-w", "web01", ...words]);
    expect([code, stdout]).toEqual([0, "web01 │ -B|--version|a  b|$HOME|--|\n"]);
  });

  it("ends with what failed, the worst first", async () => {
    const line = "case $VOLLEY_EMBEDDED_HOST in web02|web03) exit 3;; web04) kill -9 $$;; esac";
    const { code, stderr } = await exec(["all", line]);
    expect(withoutTimes(stderr).trimEnd().split("\n").slice(-6)).toEqual([
      "✘ exit 3          2  web[02-03]",
      "✘ killed by KILL  1  web04",
      "✘ unreachable     1  web05",
      "                     refused the connection: no SSH server listens there",
      "✔ ok              1  web01",
      "5 hosts: 3 failed, 1 unreachable, 1 ok in TIME",
    ]);
    expect(code).toBe(4);
  });

  it("folds what is the same, and shows how the others differ", async () => {
    const line = "echo a; [ $VOLLEY_EMBEDDED_HOST = web03 ] && echo B || echo b; echo c";
    const folded = await exec(["-B", "up", line]);
    expect(folded.stdout).toBe(
      `${"── web[01-02,04] · 3 hosts ".padEnd(80, "─")}\na\nb\nc\n\n${"── web03 ".padEnd(80, "─")}\na\nB\nc\n\n`,
    );
    expect(folded.code).toBe(0);
    const { stdout } = await exec(["--diff", "up", line]);
    expect(stdout.split("\n").slice(5, -2)).toEqual([
      "── web03 ".padEnd(80, "─"),
      "--- web[01-02,04]",
      "+++ web03",
      "@@ -1,3 +1,3 @@",
      " a",
      "-b",
      "+B",
      " c",
    ]);
  });

  it("prints a JSON object per line for programs", async () => {
    const { stdout, code } = await exec(["-o", "json", "web01", "echo hi; exit 4"]);
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ type }) => type)).toEqual(["exec:start", "exec:line", "exec:end", "exec:total"]);
    expect(events[1]).toMatchObject({ host: "web01", stream: "stdout", text: "hi" });
    expect(events[2]).toMatchObject({ host: "web01", outcome: "failed", exitCode: 4, stdoutBytes: 3 });
    expect(events[3]).toMatchObject({ hosts: 1, outcomes: { failed: 1 }, exitCode: 2 });
    expect(code).toBe(2);
  });

  it("shows lines whole however long, what they overwrite, and which are no text", async () => {
    const long = "head -c 8192 /dev/zero | tr '\\0' x";
    const odd = `printf 'one\\rtwo\\ndos\\r\\n10%%\\r20%%\\r\\nGr\\374n\\n\\303\\244'`;
    const plain = await exec(["web01", `${long}; echo; ${long}; echo; ${odd}`]);
    const x = "x".repeat(8_192);
    const shown = [x, x, "one^Mtwo", "dos", "10%^M20%", "Gr\ufffdn", "ä"];
    expect(plain.stdout.trimEnd().split("\n")).toEqual(shown.map((text) => `web01 │ ${text}`));
    const folded = await exec(["-B", "web01", `${long}; echo; ${long}; echo; ${odd}`]);
    expect(folded.stdout.trimEnd().split("\n").slice(1)).toEqual(shown);
    const json = await exec(["-o", "json", "web01", `${long}; echo; ${odd}`]);
    const events = json.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ type }) => type === "exec:line")
      .map(({ time: _time, type: _type, host: _host, stream: _stream, ...rest }) => rest);
    expect(events).toEqual([
      { text: x },
      { text: "one\rtwo" },
      { text: "dos\r" },
      { text: "10%\r20%\r" },
      { text: "Gr\ufffdn", base64: "R3L8bg==" },
      { text: "ä" },
    ]);
  });

  it("does not call outputs the same that differ in bytes which are no text", async () => {
    const line = "case $VOLLEY_EMBEDDED_HOST in web03) printf 'Gr\\374n\\n';; *) printf 'Gr\\344n\\n';; esac";
    const { stdout } = await exec(["--diff", "up", line]);
    expect(stdout).not.toContain("the same output");
    expect(stdout.match(/^Gr\ufffdn$/gm)).toHaveLength(2);
  });

  it("refuses a command that no command line holds, measured in bytes, before any host is touched", async () => {
    const execs = fleet.hosts.map(({ stats }) => stats.execs);
    for (const args of [
      ["web01", `echo ${"é".repeat(60_000)}`],
      ["--pty", "web01", `echo "${"'".repeat(30_000)}"`],
    ]) {
      const { code, stderr } = await exec(args);
      expect([code, stderr]).toEqual([
        1,
        expect.stringContaining("the command is too long for a command line"),
      ]);
    }
    expect(fleet.hosts.map(({ stats }) => stats.execs)).toEqual(execs);
    const long = await exec(["web01", `echo "${"'".repeat(30_000)}" | wc -c`]);
    expect(long.stdout).toBe("web01 │ 30001\n");
  });

  it("is remembered: what it came to can be asked for, but nothing of what was run", async () => {
    const env = { XDG_STATE_HOME: join(directory, "remembered") };
    const first = await exec(["all", "TOKEN=hush; case $VOLLEY_EMBEDDED_HOST in web03) exit 1;; esac"], {
      env,
    });
    expect(first.code).toBe(4);
    const again = await exec(["up", "-l", "@failed", "--", "printenv", "VOLLEY_EMBEDDED_HOST"], { env });
    expect(again.stdout).toBe("web03 │ web03\n");
    const runs = join(env.XDG_STATE_HOME, "volley", "runs");
    const [run] = readdirSync(runs)
      .filter((name) => name.endsWith("-exec.json"))
      .sort();
    const named = await exec([`@${run?.slice(0, -".json".length)}:!web05`, "true"], { env });
    expect(named.stderr).toMatch(/4 hosts ok/);
    for (const name of readdirSync(runs)) expect(readFileSync(join(runs, name), "utf8")).not.toMatch(/hush/);
  });

  it("shows a screen only on a terminal, elsewhere lines, as run does", async () => {
    const { code, stdout, stderr } = await exec(["web01", "-o", "ink", "echo here"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "web01 │ here\n" });
    expect(stderr).toMatch(/^volley: --output ink needs a terminal; plain lines follow\n/);
  });

  it("takes names, scripts and input from files and from stdin", async () => {
    const names = await execApart(["-", "echo $VOLLEY_EMBEDDED_HOST"], {
      stdin: "web04 # the last\n\nweb[01-02]\n",
    });
    expect(sorted(names.stdout)).toEqual(["web01 │ web01", "web02 │ web02", "web04 │ web04"]);
    const script = join(directory, "count.sh");
    writeFileSync(script, 'echo "$1: $(wc -l) of $WHAT"\n');
    const input = await execApart(
      ["web01", "--script", script, "--stdin", "-", "--env", "WHAT=all of it", "--", "lines -x"],
      { stdin: "a\nb\nc\n" },
    );
    expect(input.stdout).toBe("web01 │ lines -x: 3 of all of it\n");
  });

  it("writes each host's output to a directory, also when nobody reads it here", async () => {
    const out = join(directory, "out");
    const { code } = await exec(["up", "--out-dir", out, "-B", "echo $VOLLEY_EMBEDDED_HOST"]);
    expect(code).toBe(0);
    expect(readdirSync(out).sort()).toEqual([
      "exit-status.tsv",
      "web01.out",
      "web02.out",
      "web03.out",
      "web04.out",
    ]);
    expect(readFileSync(join(out, "web03.out"), "utf8")).toBe("web03\n");
  });

  it("ends the commands on Ctrl-C", async () => {
    const { code, stderr, stdout } = await execApart(
      ["-f", "2", "up", "trap 'echo bye; exit 9' TERM; echo up; sleep 7201 & wait"],
      {
        on: (child) => {
          let seen = "";
          child.stdout?.on("data", (text: string) => {
            const before = seen.split("up").length;
            seen += text;
            if (before < 3 && seen.split("up").length >= 3) child.kill("SIGINT");
          });
        },
      },
    );
    expect(code).toBe(130);
    expect(sorted(stdout).map((line) => line.slice(8))).toEqual(["bye", "up", "bye", "up"]);
    expect(stderr).toMatch(
      /⊘ cancelled\s+2 {2}web\[01-02\]\n⊘ not started\s+2 {2}web\[03-04\]\n4 hosts: 4 cancelled/,
    );
  });

  it.each<[readonly string[], string]>([
    [["nohost", "true"], 'no host or group is called "nohost"'],
    [["web01", "-q", "ls"], "unknown option '-q'"],
    [["web01", "df -h", "-B"], "-B stands behind the quoted line: options come before the hosts"],
    [["web01", "--env", "1=2", "true"], '--env takes NAME=VALUE, not "1=2"'],
    [["web01", "--script", "none.sh"], "cannot read the script none.sh"],
    [["web01", "--stdin", "none", "cat"], "cannot read none"],
    [["-", "--stdin", "-", "cat"], "stdin holds either"],
    [["-", "true"], "there is no host name on stdin"],
    [["web01", "--pty", "--stdin", "x", "true"], "--pty goes with neither"],
    [["web01", "--timeout", "0", "true"], "It must be a number of seconds above 0"],
    [["web01", "--timeout", "1e8", "true"], "It must be 2147483 at most"],
  ])("refuses %j", async (args, message) => {
    const { code, stdout, stderr } = await (args[0] === "-" ? execApart : exec)(args);
    expect(stderr).toContain(message);
    expect([code, stdout]).toEqual([1, ""]);
    await expect.poll(() => fleet.hosts.map(({ stats }) => stats.openConnections)).toEqual([0, 0, 0, 0, 0]);
  });

  it("needs no inventory: names are hosts then, as ssh knows them", async () => {
    const [web01] = fleet.hosts;
    const config = join(directory, "ssh_config");
    writeFileSync(
      config,
      `Host box*\n HostName ${web01!.address}\n Port ${web01!.port}\n User ${fleet.user}\n IdentityFile ${fleet.privateKeyPath}\n UserKnownHostsFile ${fleet.knownHostsPath}\n`,
    );
    const { code, stdout } = await volleyHere(["exec", "--ssh-config", config, "box[1-2]", "echo here"], {
      cwd: mkdtempSync(join(directory, "empty-")),
      env: { LC_ALL: "C.UTF-8", VOLLEY_INVENTORY: "" },
    });
    expect([code, sorted(stdout)]).toEqual([0, ["box1 │ here", "box2 │ here"]]);
  });
});

describe("what is loaded", () => {
  /**
   * The modules of the program that a command evaluates. V8 counts the calls of the chunks, which are functions of their
   * names, and of the modules within them that wait for `require`; the build says which modules are in a chunk.
   */
  async function loadedBy(args: readonly string[]): Promise<readonly string[]> {
    const coverage = mkdtempSync(join(directory, "coverage-"));
    const { code } = await execApart(args, { env: { NODE_V8_COVERAGE: coverage } });
    expect(code).toBe(0);
    const { result } = JSON.parse(
      readFileSync(join(coverage, readdirSync(coverage)[0]!), "utf8"),
    ) as Coverage;
    const program = join(dirname(await builtCli()), "program");
    const contents = JSON.parse(readFileSync(join(program, "contents.json"), "utf8")) as Readonly<
      Record<string, readonly string[]>
    >;
    const calls = new Map(
      result
        .filter(({ url }) => url.includes("/cli/program/"))
        .flatMap(({ functions }) => functions)
        .map(({ functionName, ranges }) => [functionName, ranges[0]!.count]),
    );
    return Object.entries(contents)
      .filter(([chunk]) => (calls.get(chunk) ?? 0) > 0)
      .flatMap(([, modules]) => modules)
      .filter((name) => calls.get(name) !== 0);
  }

  it("is what ssh takes, and nothing that playbooks or screens take", async () => {
    const loaded = await loadedBy(["up", "true"]);
    expect(loaded).toContain("src/transport/ssh/ssh-transport.ts");
    const packages = new Set(
      loaded
        .filter((name) => name.startsWith("node_modules/"))
        .map((name) => /^node_modules\/((?:@[^/]*\/)?[^/]*)/.exec(name)![1]!),
    );
    const allowed = [
      "ssh2",
      "asn1",
      "bcrypt-pbkdf",
      "tweetnacl",
      "safer-buffer",
      "commander",
      "p-limit",
      "yocto-queue",
    ];
    expect([...packages].filter((name) => !allowed.includes(name))).toEqual([]);
    const unwanted =
      /^src\/(template|actions|agent|engine|system\/(local|remote-system)|reporter\/ink|bundle\/(?!this-package|parts|runtimes\/builds))/;
    expect(loaded.filter((name) => unwanted.test(name))).toEqual([]);
  });
});

interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly functionName: string;
      readonly ranges: readonly { readonly count: number }[];
    }[];
  }[];
}

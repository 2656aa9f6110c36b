import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import type { EmbeddedFleet, EmbeddedFleetOptions } from "../../src/embedded/options.ts";
import { builtCli, type CliEnd } from "../e2e/lib/cli.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { fleetStarter } from "../transport/lib/reach.ts";
import { scratchHome } from "../transport/lib/scratch.ts";

const scratch = scratchHome();
const startFleet = fleetStarter();
const PASSWORD = "correct horse";
const user = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
const testAtTerminal = test.skipIf(!existsSync("/usr/bin/script"));

interface Site {
  readonly fleet: EmbeddedFleet;
  readonly known: string;
  readonly common: readonly string[];
}

async function site(options: Partial<EmbeddedFleetOptions> = {}): Promise<Site> {
  const fleet = await startFleet({ count: 3, separateHostKeys: true, ...options });
  const inventory = scratch.write("hosts.yaml", fleet.inventoryYaml());
  const known = scratch.path("known_hosts");
  return { fleet, known, common: ["-i", inventory, "--known-hosts", known, "--ssh-config", "none"] };
}

function run(...args: readonly string[]): Promise<CliEnd> {
  return volleyHere(args, { cwd: scratch.path("") });
}

/** Runs `volley` at a terminal of its own; `answer` is typed when `prompt` has been shown. */
async function atTerminal(
  args: readonly string[],
  prompt: RegExp,
  answer: string,
): Promise<{ readonly code: number | null; readonly shown: string }> {
  const words = [process.execPath, await builtCli(), ...args].map(
    (word) => `'${word.replaceAll("'", "'\\''")}'`,
  );
  const child: ChildProcess = spawn("script", ["-qec", words.join(" "), "/dev/null"], {
    cwd: scratch.path(""),
    env: { ...process.env, TERM: "dumb" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill());
  let shown = "";
  let answered = false;
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    if (answered || !prompt.test(shown)) return;
    answered = true;
    child.stdin!.write(`${answer}\n`);
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, shown };
}

test("hosts trust --yes shows the keys and adds them; then all are known", async () => {
  const { fleet, known, common } = await site();
  const { code, stdout } = await run("hosts", "trust", ...common, "--yes");
  expect(code).toBe(0);
  expect(stdout).toContain("The keys of 3 hosts are not known:");
  for (const { name, port, hostKeyFingerprint } of fleet.hosts)
    expect(stdout).toContain(`  ${name}  [127.0.0.1]:${port}  ssh-ed25519  ${hostKeyFingerprint}\n`);
  expect(stdout).toContain(`Added 3 to ${known}.`);
  expect(readFileSync(known, "utf8").trim().split("\n")).toHaveLength(3);
  expect(await run("hosts", "trust", ...common)).toMatchObject({
    code: 0,
    stdout: "3 hosts, their keys are known.\n",
  });
});

test("hosts trust without a terminal shows them, adds nothing, and says what to do", async () => {
  const { known, common } = await site();
  const { code, stdout, stderr } = await run("hosts", "trust", ...common, "web01", "web02");
  expect(code).toBe(1);
  expect(stdout).toContain("The keys of 2 hosts are not known:");
  expect(stderr).toContain("use --yes");
  expect(existsSync(known)).toBe(false);
});

test("hosts trust tells who did not show a key, and honours -l", async () => {
  const { common, fleet } = await site({ faults: (index) => (index === 1 ? { kind: "refuse" } : undefined) });
  const { code, stdout } = await run("hosts", "trust", ...common, "--yes", "--connect-retries", "0");
  expect(code).toBe(4);
  expect(stdout).toContain(`web02: no key from 127.0.0.1:${fleet.hosts[1]!.port}\n`);
  expect(await run("hosts", "trust", ...common, "-l", "!web02")).toMatchObject({
    code: 0,
    stdout: "2 hosts, their keys are known.\n",
  });
});

test("hosts trust refuses revoked and changed keys, and does not call an authority's host known", async () => {
  const { fleet, known, common } = await site();
  const keys = readFileSync(fleet.knownHostsPath, "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(" ").slice(1, 3).join(" "));
  const [first, second, third] = fleet.hosts.map(({ port }) => `[127.0.0.1]:${port}`);
  scratch.write(
    "known_hosts",
    `@revoked ${first} ${keys[0]}\n${second} ${keys[0]}\n@cert-authority ${third} ${keys[0]}\n`,
  );
  const before = readFileSync(known, "utf8");
  const { code, stdout } = await run("hosts", "trust", ...common, "--yes");
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /^web01: its key is revoked \(.*known_hosts:1\): it presents ssh-ed25519 .*; it is not added$/m,
  );
  expect(stdout).toMatch(
    /^web02: its key has changed: .*, not the one at .*known_hosts:2; it is not added$/m,
  );
  expect(stdout).toMatch(
    /^web03: left to ssh itself: only a certificate vouches for its key \(@cert-authority, .*:3\)$/m,
  );
  expect(stdout).not.toMatch(/Added|known\.$/m);
  expect(readFileSync(known, "utf8")).toBe(before);
});

test("hosts trust with UserKnownHostsFile none adds nothing, and says why before it asks", async () => {
  const { common } = await site();
  const sshConfig = scratch.write("none", "UserKnownHostsFile none\n");
  const { code, stdout, stderr } = await run(
    "hosts",
    "trust",
    ...common.slice(0, 2),
    "--ssh-config",
    sshConfig,
    "--yes",
  );
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("there is no file to add the key of [127.0.0.1]:");
  expect(stderr).toContain("UserKnownHostsFile is none");
});

testAtTerminal("hosts trust asks at a terminal", async () => {
  const { known, common } = await site();
  const refused = await atTerminal(["hosts", "trust", ...common], /\[y\/N\] $/, "n");
  expect(refused.code).toBe(1);
  expect(existsSync(known)).toBe(false);
  const agreed = await atTerminal(["hosts", "trust", ...common], /\[y\/N\] $/, "yes");
  expect(agreed.shown).toContain(`Trust these 3 keys, and add to ${known}? [y/N]`);
  expect(agreed.code).toBe(0);
  expect(readFileSync(known, "utf8").trim().split("\n")).toHaveLength(3);
});

function playbook(): string {
  scratch.write("package.json", "{}");
  return scratch.write(
    "site.ts",
    'import { debug, definePlaybook } from "volley";\nexport default definePlaybook([{ name: "One", hosts: "all", tasks: ({ task }) => { task("Say", debug({ msg: "hello" })); } }]);\n',
  );
}

testAtTerminal("run asks about all unknown keys at once, before anything is shown of the run", async () => {
  const { known, common } = await site();
  const { code, shown } = await atTerminal(["run", playbook(), ...common, "-o", "plain"], /\[y\/N\] $/, "y");
  expect(code).toBe(0);
  expect(shown.match(/\[y\/N\]/g)).toHaveLength(1);
  expect(shown.indexOf("[y/N]")).toBeLessThan(shown.indexOf("web01", shown.indexOf("[y/N]")));
  expect(readFileSync(known, "utf8").trim().split("\n")).toHaveLength(3);
});

async function passwordSite(): Promise<Site & { readonly play: string }> {
  const given = await site({ passwords: [{ user, password: PASSWORD }] });
  const inventory = scratch.write(
    "hosts.yaml",
    given.fleet.inventoryYaml().replace(/^.*private_key_file.*\n/gm, ""),
  );
  return {
    ...given,
    play: playbook(),
    common: ["-i", inventory, "--known-hosts", given.fleet.knownHostsPath, "--ssh-config", "none"],
  };
}

testAtTerminal("run -k asks once for all hosts and shows nothing of what is typed", async () => {
  const { common, play } = await passwordSite();
  const { code, shown } = await atTerminal(
    ["run", play, ...common, "-k", "-o", "plain"],
    /SSH password: $/,
    PASSWORD,
  );
  expect(code).toBe(0);
  expect(shown.match(/SSH password/g)).toHaveLength(1);
  expect(shown).not.toContain(PASSWORD);
});

test("run takes the password from a file, a descriptor, or the environment", async () => {
  const { common, play } = await passwordSite();
  const file = scratch.write("password", `${PASSWORD}\nsecond line\n`);
  expect((await run("run", play, ...common, "--password-file", file)).code).toBe(0);
  const env = { VOLLEY_SSH_PASSWORD: PASSWORD };
  expect((await volleyHere(["run", play, ...common], { cwd: scratch.path(""), env })).code).toBe(0);
  const words = [process.execPath, await builtCli(), "run", play, ...common, "--password-fd", "3"];
  const child = spawn("/bin/sh", ["-c", `"$@" 3<'${file}'`, "sh", ...words], {
    cwd: scratch.path(""),
    stdio: "ignore",
  });
  expect(await once(child, "close")).toEqual([0, null]);
});

test.each([
  [["-k"], "there is no terminal to ask for the password"],
  [["--password-file", "/nowhere"], "cannot read the password from /nowhere"],
  [["--password-fd", "99"], "cannot read the password from file descriptor 99"],
  [["--ssh-config", "/nowhere"], "there is no ssh_config file /nowhere"],
  [["--transport", "telnet"], "Allowed choices are auto, ssh2, openssh"],
  [["--host-keys", "maybe"], "Allowed choices are strict, ask, accept-new, off"],
  [["--connect-retries", "-1"], "It must be a whole number"],
  [["--worker-timeout", "2.9"], "It must be 3 at least: workers give a sign of life each second"],
])("run %j is refused: %s", async (flags, message) => {
  const { common } = await site();
  const { code, stderr } = await run("run", playbook(), ...common, ...flags);
  expect(stderr).toContain(message);
  expect(code).toBe(1);
});

test.skipIf(!existsSync("/usr/bin/ssh"))(
  "run through OpenSSH's ssh, through a jump, and where ssh_config wants it",
  async () => {
    const { fleet, known, common } = await site({ count: 4 });
    await run("hosts", "trust", ...common, "--yes");
    const play = playbook();
    const inventory = scratch.write("hosts.yaml", fleet.inventoryYaml());
    const base = ["run", play, "-i", inventory, "--known-hosts", known, "-o", "json"];
    const outcomes = async (...flags: readonly string[]): Promise<readonly unknown[]> => {
      const { stdout, stderr } = await run(...base, ...flags);
      const events = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const ends = events.filter(({ type }) => type === "host:end").map(({ outcome }) => outcome);
      const notes = events.filter(({ type }) => type === "log").map(({ text }) => text);
      return stderr === "" ? [...ends, ...notes] : [stderr];
    };
    const ok = ["ok", "ok", "ok", "ok"];
    expect(await outcomes("--ssh-config", "none", "--transport", "openssh")).toEqual(ok);
    const jump = `Host gate\n HostName 127.0.0.1\n Port ${fleet.hosts[0]!.port}\nHost 127.0.0.1\n ProxyJump gate\n`;
    const before = fleet.hosts[0]!.stats.connections;
    expect(await outcomes("--ssh-config", scratch.write("jump", jump))).toEqual(ok);
    // The gate gets two logins: one for the hosts behind it, and one for itself, through itself.
    expect(fleet.hosts[0]!.stats.connections - before).toBe(2);
    const command = scratch.write(
      "command",
      "Host 127.0.0.1\n ProxyCommand /bin/sh -c 'exec nc %h %p || exit 1'\n",
    );
    const said = await outcomes("--ssh-config", command, "--connect-retries", "0");
    expect(said.at(-1)).toBe("reached with OpenSSH's ssh: ProxyCommand is set; so are 3 more hosts");
  },
);

import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunnerOptions, runnerScript, STATE } from "../../src/image/first-boot.ts";
import { makePayload, type Payload, type PayloadOptions } from "../../src/image/payload.ts";
import { hasSshKeygen, makeKeyring } from "../bundle/signing/lib.ts";
import { makeProject, playbookText, scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

/** The shells here that may be a machine's `sh`. */
const SHELLS = ["dash", "bash", "busybox"].filter(
  (name) => spawnSync(name, ["--help"], { stdio: "ignore" }).error === undefined,
);

/** A playbook whose first try fails where a file `fails` is there, and each where a file `fails-always` is. */
const SITE = playbookText(`{ name: "Play", hosts: "all", tasks: ({ task, facts, host }) => {
  const home = facts.env.HOME;
  task("Try", shell(\`echo x >>\${home}/tries; ! [ -e \${home}/fails-always ] && { ! [ -e \${home}/fails ] || [ $(wc -l <\${home}/tries) -ge 2 ]; }\`));
  task("Write", copy({ content: "for " + host.name + "\\n", dest: home + "/written" }));
} }`);

let unsigned: Payload;
let signed: Payload | undefined;
let optionsOf: (more?: Partial<PayloadOptions>) => PayloadOptions;
let home: string;
let state: string;

beforeAll(async () => {
  const project = makeProject(scratch(), { "site.ts": SITE });
  optionsOf = (more = {}) => ({
    ...{ playbook: "site.ts", cwd: project.directory, inventory: ["web1,web2,"], limit: "web1" },
    signing: undefined,
    ...more,
  });
  unsigned = await makePayload(optionsOf());
  if (!hasSshKeygen) return;
  const keys = makeKeyring(scratch());
  signed = await makePayload(optionsOf({ signing: { key: keys.make("alice") } }));
});

beforeEach(() => {
  home = mkdtempSync(join(scratch(), "machine-"));
  state = join(home, "state");
});

/** Put a payload on the machine, with a runner that does not pause. */
function put({ host, bundle, signers, files }: Payload, settings: Partial<RunnerOptions> = {}): string {
  const directory = mkdtempSync(join(home, "payload "));
  for (const { name, content, mode } of files) writeFileSync(join(directory, name), content, { mode });
  const isSigned = signers !== undefined;
  const runner = runnerScript({
    ...{ host, bundleId: bundle.id, isSigned, state, pauseSeconds: 0 },
    ...settings,
  });
  writeFileSync(join(directory, "run.sh"), runner);
  return directory;
}

function start(directory: string, shell = "sh"): SpawnSyncReturns<string> {
  const isBusybox = shell === "busybox";
  return spawnSync(shell, [...(isBusybox ? ["sh"] : []), join(directory, "run.sh")], {
    encoding: "utf8",
    env: { HOME: home, PATH: isBusybox ? onlyBusybox() : process.env.PATH!, VOLLEY_NODE: process.execPath },
  });
}

/** A PATH in front of the runner's own, with busybox for all tools that it has. */
function onlyBusybox(): string {
  const tools = join(scratch(), "busybox");
  if (existsSync(tools)) return tools;
  mkdirSync(tools);
  const busybox = spawnSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).stdout.trim();
  for (const name of spawnSync(busybox, ["--list"], { encoding: "utf8" }).stdout.trim().split("\n"))
    symlinkSync(busybox, join(tools, name));
  return tools;
}

const read = (name: string): string => readFileSync(join(state, name), "utf8");
const has = (name: string): boolean => existsSync(join(state, name));
const events = (): readonly { readonly type: string; readonly error?: { readonly code: string } }[] =>
  read(STATE.result)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
const tries = (): number => readFileSync(join(home, "tries"), "utf8").length / 2;

test("the payload is for one host", async () => {
  expect(unsigned).toMatchObject({ host: "web1", playbook: "site.ts", signers: undefined });
  expect(unsigned.files.map(({ name }) => name)).toEqual(["site.run", "run.sh"]);
  await expect(makePayload(optionsOf({ limit: "all" }))).rejects.toMatchObject({
    code: "USAGE",
    message: "-l all selects 2 hosts",
  });
});

describe.each(SHELLS)("with %s", (shell) => {
  test("provisions once, keeps the result for root alone, and does nothing at the second start", () => {
    const directory = put(unsigned);
    const first = start(directory, shell);
    expect(first).toMatchObject({ status: 0, stderr: "" });
    expect(first.stdout).toMatch(
      /^volley: provisioning web1 \(attempt 1 of 3\)\n\[changed [^\n]+ Try\n\[changed [^\n]+ Write\nweb1: 2 total actions [^\n]+\nvolley: this machine is provisioned\n$/,
    );
    expect(readFileSync(join(home, "written"), "utf8")).toBe("for web1\n");
    expect(read(STATE.done)).toBe(`${unsigned.bundle.id}\n`);
    expect(read(STATE.attempts)).toBe("1\n");
    expect([has(STATE.failed), has("errors")]).toEqual([false, false]);
    expect(events().map(({ type }) => type)).toEqual(expect.arrayContaining(["hello", "task:end", "bye"]));
    expect([state, join(state, STATE.result)].map((path) => statSync(path).mode & 0o777)).toEqual([
      0o700, 0o600,
    ]);
    expect(start(directory, shell)).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(tries()).toBe(1);
    // The stamp is that of another bundle now.
    expect(
      start(put({ ...unsigned, bundle: { ...unsigned.bundle, id: "0".repeat(64) } }), shell),
    ).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/site\.run is damaged: its SHA-256 is not 0{64}\n$/),
    });
    expect([has(STATE.done), read(STATE.failed).split("\n")[0]]).toEqual([false, "1"]);
    expect(tries()).toBe(1);
  });

  test("tries again after a failure", () => {
    writeFileSync(join(home, "fails"), "");
    const ran = start(put(unsigned), shell);
    expect(ran).toMatchObject({ status: 0, stderr: "" });
    expect(ran.stdout).toContain("the attempt ended with exit code 2; another one follows in 0 s\n");
    expect([tries(), read(STATE.attempts)]).toEqual([2, "2\n"]);
  });

  test("ends when all attempts have failed, and the next start begins anew", () => {
    writeFileSync(join(home, "fails-always"), "");
    const directory = put(unsigned, { attempts: 2 });
    const ran = start(directory, shell);
    expect(ran.status).toBe(2);
    expect(ran.stdout).toMatch(/\nvolley: this machine is not provisioned \(exit code 2\)\n$/);
    expect([has(STATE.done), read(STATE.failed), tries()]).toEqual([false, "2\n", 2]);
    expect(events().at(-1)).toMatchObject({ type: "bye", tally: { failed: 1 } });
    expect(start(directory, shell).status).toBe(2);
    expect(tries()).toBe(4);
  });

  test.skipIf(!hasSshKeygen)("verifies the signature before anything of the bundle is run", () => {
    const directory = put(signed!);
    const ran = start(directory, shell);
    expect(ran).toMatchObject({ status: 0, stderr: "" });
    expect(ran.stdout).toMatch(/site\.run: signed by volley with ED25519 key SHA256:/);
    expect(tries()).toBe(1);
  });

  test.skipIf(!hasSshKeygen)("refuses a bundle with a changed byte, once and for all attempts", () => {
    const directory = put(signed!);
    const bytes = readFileSync(join(directory, "site.run"));
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(join(directory, "site.run"), bytes);
    const ran = start(directory, shell);
    expect(ran).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/site\.run was changed after it was signed\n$/),
    });
    expect(ran.stdout).not.toContain("follows");
    expect(read(STATE.failed)).toBe(`1\n${ran.stderr}`);
    expect([has(STATE.result), has(STATE.done), existsSync(join(home, "tries"))]).toEqual([
      false,
      false,
      false,
    ]);
  });

  test("has the bundle fetched first, and again when that has failed", () => {
    const directory = put(unsigned);
    const elsewhere = join(home, "elsewhere");
    renameSync(join(directory, "site.run"), elsewhere);
    const once = `[ -e '${home}/asked' ] || { : >'${home}/asked'; echo "no network yet" >&2; exit 3; }`;
    writeFileSync(join(directory, "fetch.sh"), `${once}\ncp '${elsewhere}' "\${0%/*}/site.run"\n`);
    const ran = start(directory, shell);
    expect(ran).toMatchObject({ status: 0, stderr: "no network yet\n" });
    expect(ran.stdout).toContain("the attempt ended with exit code 3; another one follows in 0 s\n");
    expect(tries()).toBe(1);
  });

  test("waits for a default route", () => {
    const routes = join(home, "routes");
    mkdirSync(routes);
    const loopback = `${"0".repeat(32)} 00 ${"0".repeat(32)} 00 ${"0".repeat(32)} ffffffff 1 0 00200200       lo\n`;
    writeFileSync(join(routes, "route"), "Iface\tDestination\tGateway\n");
    writeFileSync(join(routes, "ipv6_route"), loopback);
    const directory = put(unsigned, { waitsForNetwork: true, routes });
    // The first pause brings the route.
    const bin = join(home, "bin");
    mkdirSync(bin);
    writeFileSync(
      join(bin, "sleep"),
      `#!/bin/sh\necho "${loopback.replace("lo\n", "eth0")}" >>'${routes}/ipv6_route'\n`,
      { mode: 0o755 },
    );
    const script = join(directory, "run.sh");
    writeFileSync(script, readFileSync(script, "utf8").replace("sleep 1\n", `'${bin}/sleep' 1\n`));
    const ran = start(directory, shell);
    expect(ran.stdout).toMatch(/^volley: waiting for the network\nvolley: provisioning web1 /);
    expect(ran.status).toBe(0);
    expect(
      start(put(unsigned, { waitsForNetwork: true, routes, state: join(home, "other") }), shell).stdout,
    ).toMatch(/^volley: provisioning web1 /);
  });
});

test.skipIf(!hasSshKeygen)(
  "signers that do not allow the key are refused when the payload is made",
  async () => {
    const keys = makeKeyring(scratch());
    keys.make("bob");
    const signing = { key: keys.make("carol"), signers: `bob ${keys.publicKey("bob")}\n` };
    await expect(makePayload(optionsOf({ signing }))).rejects.toMatchObject({
      code: "SIGNATURE_REFUSED",
      message: "site.ts is not signed by an allowed signer",
    });
  },
);

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../src/core/protocol.ts";
import { createPlainReporter } from "../../src/reporter/plain.ts";
import { UNICODE_SYMBOLS } from "../../src/reporter/rows/wording.ts";
import { fleetStarter, follow, hostOf, ofType, type Ran, start } from "../e2e/lib/drive.ts";
import { makeProject, type Project, playbookText, scratchDirectory } from "../e2e/lib/project.ts";
import { PATIENCE_MS } from "../lib/patience.ts";
import { FakeTerminal } from "../reporter/lib/fake-terminal.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

/** JavaScript that says what it likes, on the host, instead of the bundle. */
const LIAR = `
const say = (text) => fs.writeSync(1, text);
const fs = require("fs");
let seq = 0;
const event = (type, rest = {}, number = ++seq) => say(JSON.stringify({ type, seq: number, time: 1, ...rest }) + "\\n");
const hello = (rest = {}) => event("hello", { protocol: ${PROTOCOL_VERSION}, bundle: "b", pid: 1, node: "v20.0.0", ...rest });
const task = { task: 1, play: "One", role: "One", name: "t", action: "shell" };
const tally = { unchanged: 0, changed: 1, skipped: 0, failed: 0, notExecuted: 0 };
const begin = () => { hello(); event("play:start", { index: 0, play: "One", total: 1 }); event("task:start", task); };
const done = (result = {}) => event("task:end", { ...task, elapsedMs: 1, result: { state: "changed", ...result } });
const bye = (rest = {}) => event("bye", { tally, elapsedMs: 1, ...rest });
const stay = () => setInterval(() => {}, 1000);
`;

/** A `sha256sum` that takes every bundle for what it is called: a host that lies does so about that, too. */
const LYING_SUM = `#!/bin/sh
case "$1" in *.run) name=\${1##*/}; echo "\${name%.run}  $1";; *) PATH=/usr/bin:/bin exec sha256sum "$@";; esac
`;

/** Puts it where hosts look for programs, and gives their environment. */
function lyingSum(project: Project): Readonly<Record<string, string>> {
  const bin = project.path("bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "sha256sum"), LYING_SUM, { mode: 0o755 });
  return { PATH: `${bin}:${process.env.PATH}` };
}

interface Site {
  readonly project: Project;
  /** The environment of hosts that lie about bundles. */
  readonly env: Readonly<Record<string, string>>;
  /** The name of the playbook's bundle. */
  readonly id: string;
}

let built: Promise<Site> | undefined;

/** Makes the playbook of all tests, and carries it out once to know its bundle's name. */
async function buildSite(): Promise<Site> {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(
      `{ name: "One", hosts: "all", tasks: ({ task }) => { task("t", debug({ msg: "x" })); } }`,
    ),
  });
  const { events } = await follow(start(project, await startFleet({ count: 1 })));
  return { project, env: lyingSum(project), id: ofType(events, "run:build")[0]!.bundle };
}

function theSite(): Promise<Site> {
  built ??= buildSite();
  return built;
}

/** Runs a playbook on two hosts the first of which keeps a bundle that does this instead; the second must not care. */
async function meet(lies: string): Promise<Ran> {
  const { project, env, id } = await theSite();
  const fleet = await startFleet({ count: 2, env });
  const directory = join(fleet.hosts[0]!.home, ".cache/volley/bundles");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "lies.cjs"), LIAR + lies);
  writeFileSync(join(directory, `${id}.run`), `exec "${process.execPath}" "${directory}/lies.cjs" "$@"\n`);
  // A first word is sure to come, however slow the machine.
  const ran = await follow(start(project, fleet, { returnTimeoutMs: 1_000, startTimeoutMs: PATIENCE_MS }));
  expect(hostOf(ran, "web02").outcome).toBe("ok");
  return ran;
}

const accepted: readonly (readonly [what: string, lies: string])[] = [
  ["tells the truth", "begin(); done(); bye();"],
  [
    "says bye twice, and more after it",
    "begin(); done(); bye(); bye(); done(); begin(); say('x\\n'.repeat(1e5));",
  ],
  ["does not end after its last word", "begin(); done(); bye(); stay();"],
  [
    "sends events of types nobody knows",
    "begin(); event('task:explode', { task: 1 }); event('constructor'); event('__proto__'); done(); bye();",
  ],
  [
    "talks beside the protocol",
    "say('motd\\n'.repeat(1e5)); begin(); say('noise\\n'.repeat(1e5)); process.stderr.write('e\\n'.repeat(1e5)); done(); bye();",
  ],
  [
    "sends a hundred thousand events",
    "begin(); for (let i = 0; i < 1e5; i++) event('log', { level: 'info', text: 'x' }); done(); bye();",
  ],
];

test.each(accepted)("a host that %s is taken at its word", async (_what, lies) => {
  const ran = await meet(lies);
  const { outcome, tally, error } = hostOf(ran, "web01");
  expect({ outcome, tally, error }).toMatchObject({ outcome: "ok", tally: { changed: 1 } });
  expect(ofType(ran.events, "task:end").filter(({ host }) => host === "web01")).toHaveLength(1);
  expect(ofType(ran.events, "host:noise").filter(({ host }) => host === "web01").length).toBeLessThanOrEqual(
    500,
  );
});

const refused: readonly (readonly [what: string, lies: string, message: RegExp])[] = [
  ["speaks another protocol", "hello({ protocol: 99 }); stay();", /speaks protocol 99/],
  [
    "never ends its line",
    "begin(); const x = 'x'.repeat(1 << 20); for (;;) say(x);",
    /a line of more than 4 MiB/,
  ],
  [
    "talks on before hello",
    "const x = 'x'.repeat(1 << 20); for (;;) say(x);",
    /more than 16 MiB before the bundle had said a word/,
  ],
  ["leaves out numbers", "begin(); seq += 5; done(); bye();", /out of order: 9 after 3/],
  ["repeats numbers", "begin(); seq = 2; done(); bye();", /out of order: 3 after 3/],
  [
    "sends huge numbers",
    "begin(); event('log', { level: 'info', text: '' }, Number.MAX_SAFE_INTEGER); bye();",
    /out of order: 9007199254740991 after 3/,
  ],
  ["says hello in the middle", "begin(); hello(); done(); bye();", /says hello amid its events/],
  [
    "goes back with a second hello",
    "begin(); event('hello', { protocol: 1, bundle: 'b', pid: 1, node: 'v', next: 2 }, 1);",
    /begins with event 2, not 4/,
  ],
  [
    "ends a task that has not started",
    "hello(); done(); bye();",
    /the end of task 1, "t", which has not started/,
  ],
  ["ends a task twice", "begin(); done(); done(); bye();", /the end of task 1, "t", which has not started/],
  [
    "ends a play it has no part in",
    "begin(); event('play:end', { index: 7, play: 'x', failed: false }); bye();",
    /play:end of play 7/,
  ],
  [
    "tells of a task without a result",
    "begin(); event('task:end', { ...task, elapsedMs: 1 });",
    /"task:end" whose "result" cannot/,
  ],
  ["makes up a state", "begin(); done({ state: '__proto__' });", /"task:end" whose "result" cannot/],
  [
    "counts what cannot be counted",
    "begin(); done(); bye({ tally: { ...tally, changed: 1e308 } });",
    /"bye" whose "tally" cannot/,
  ],
  ["sends an error that is none", "begin(); done(); bye({ error: 'x' });", /"bye" whose "error" cannot/],
  [
    "nests without end",
    'begin(); say(\'{"type":"log","seq":4,"level":"info","text":"","data":\' + \'[\'.repeat(1e5) + \']\'.repeat(1e5) + \'}\\n\'); stay();',
    /nested more than 100 levels deep/,
  ],
];

test.each(refused)("a host that %s is refused, and said why", async (_what, lies, message) => {
  const ran = await meet(lies);
  const { outcome, error } = hostOf(ran, "web01");
  // Before hello nothing has been done there.
  expect(["lost", "failed"]).toContain(outcome);
  expect({ error }).toMatchObject({
    error: { code: "PROTOCOL_INVALID", message: expect.stringMatching(message) },
  });
});

test("a host that says nothing at all does not start in time", async () => {
  const { project, env, id } = await theSite();
  const fleet = await startFleet({ count: 1, env });
  const directory = join(fleet.hosts[0]!.home, ".cache/volley/bundles");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${id}.run`), "echo volley:absent; sleep 1000\n");
  const ran = await follow(start(project, fleet, { startTimeoutMs: 500, returnTimeoutMs: 500 }));
  expect(hostOf(ran, "web01")).toMatchObject({ error: { code: "TIMEOUT" } });
});

test.each([
  ["hello();", "CONNECTION_LOST", /did not come back within 1 s/],
  ["begin();", "PROTOCOL_INVALID", /tells again what it has told: event 2, "play:start"/],
])("a host that ends after %s whenever it is asked is given up", async (lies, code, message) => {
  const ran = await meet(`${lies} process.exit(0);`);
  expect(hostOf(ran, "web01")).toMatchObject({
    outcome: "lost",
    error: { code, message: expect.stringMatching(message) },
  });
});

test("prototypes stay what they are", async () => {
  const evil = `{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}`;
  const ran = await meet(
    `begin(); say('{"type":"task:end","seq":4,"time":1,"task":1,"play":"One","role":"One","name":"t","action":"x","elapsedMs":1,"__proto__":{"host":"web02"},"result":{"state":"changed","data":${evil}}}\\n'); seq = 4; bye();`,
  );
  expect(hostOf(ran, "web01").outcome).toBe("ok");
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  const [end] = ofType(ran.events, "task:end").filter(({ host }) => host === "web01");
  expect(Object.getPrototypeOf(end!.result.data)).toBe(Object.prototype);
  expect(Object.hasOwn(end!.result.data as object, "__proto__")).toBe(false);
});

test("what a host says reaches a terminal as text only", async () => {
  const escapes = "\\u001b]0;owned\\u0007\\u001b[2J\\u001b[1;31mred\\u009b31m\\u202eevil\\u0000\\r";
  const ran = await meet(
    `const bad = "${escapes}"; task.name = "t" + bad; say(Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x0a])); begin();
     event("task:output", { task: 1, stream: "stdout", text: bad + "\\n" }); event("log", { level: "warn", text: bad });
     say(bad + "\\n"); process.stderr.write(bad + "\\n");
     done({ state: "failed", message: bad, error: { code: "ACTION_FAILED", message: bad, hint: bad } });
     bye({ tally: { ...tally, changed: 0, failed: 1 } });`,
  );
  expect(hostOf(ran, "web01").outcome).toBe("failed");
  const stdout = new FakeTerminal(100, 24, false);
  const reporter = createPlainReporter({
    stdout,
    colors: false,
    symbols: UNICODE_SYMBOLS,
    verbosity: 2,
    diff: true,
  });
  for (const event of ran.events) reporter.event(event);
  await reporter.end(ran.summary);
  const text = stdout.raw;
  expect(text).toContain("red");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested
  expect(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/.exec(text)?.[0]).toBeUndefined();
});

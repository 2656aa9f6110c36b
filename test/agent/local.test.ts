import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { preparePlaybook } from "../../src/controller/prepare/read.ts";
import type { TargetEvent } from "../../src/core/events.ts";
import type { WireEvent } from "../../src/core/protocol.ts";
import { type BundledProject, bundleProject, runBundle } from "./bundle-fixture.ts";
import { inventory, ROLE, SITE, SLOW } from "./local-project.ts";

let project: BundledProject;
let work: string;
beforeAll(async () => {
  project = await bundleProject((directory) => ({
    "site.ts": SITE,
    "roles/site/role.ts": ROLE,
    "roles/site/files/page.html": "<h1>Hi</h1>\n",
    "roles/site/templates/config.j2": "word = {{ word }}\n",
    "roles/slow.ts": SLOW,
    "inventory.yml": inventory(`${directory}/work`),
  }));
  work = project.path("work");
});
afterAll(() => project[Symbol.dispose]());
beforeEach(() => void mkdirSync(work, { recursive: true }));
afterEach(() => rmSync(work, { recursive: true, force: true }));

const run = (...args: readonly string[]) => runBundle(project.file, args);
/** Times are as long as they are. */
const timeless = (text: string): readonly string[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/\d+\.\d{3}s\]/, "TIME]").replace(/ in \d+\.\d\ds:/, " in TIME:"));

test("a line an action and a line of totals, in these words and no others", async () => {
  const { code, stdout, stderr } = await run("--local", "web1");
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^\[changed \d+\.\d{3}s\] site Install the page$/m);
  expect(stdout).toMatch(
    /^web1: 9 total actions in \d+\.\d\ds: 4 unchanged, 2 changed, 3 skipped, 0 failed, 0 not executed\.$/m,
  );
  expect(timeless(stdout)).toEqual([
    "[changed TIME] site Install the page",
    "[changed TIME] site Write the config",
    "[skipped TIME] site Never here",
    "[unchanged TIME] site Say",
    "[unchanged TIME] site Show",
    "    shown common",
    "[skipped TIME] site Forgive",
    "[skipped TIME] site Fail",
    "[unchanged TIME] site After",
    "[unchanged TIME] site reload (handler)",
    "web1: 9 total actions in TIME: 4 unchanged, 2 changed, 3 skipped, 0 failed, 0 not executed.",
  ]);
  expect(code).toBe(0);
  expect(readFileSync(`${work}/page.html`, "utf8")).toBe("<h1>Hi</h1>\n");
  expect(readFileSync(`${work}/config`, "utf8")).toBe("word = common\n");
  const second = await run("--local", "web1");
  expect(timeless(second.stdout).at(-1)).toBe(
    "web1: 8 total actions in TIME: 5 unchanged, 0 changed, 3 skipped, 0 failed, 0 not executed.",
  );
});

test("a host's own vars hold; its failure is said, counted, and the exit code is 2", async () => {
  const { code, stdout } = await run("--local", "web2");
  expect(readFileSync(`${work}/config`, "utf8")).toBe("word = own\n");
  expect(timeless(stdout).slice(-3)).toEqual([
    "[failed TIME] site Fail",
    "    on purpose",
    "web2: 9 total actions in TIME: 2 unchanged, 2 changed, 2 skipped, 1 failed, 2 not executed.",
  ]);
  expect(code).toBe(2);
});

test("a failure that is ignored is counted, said to be ignored, and does not fail the run", async () => {
  const { code, stdout } = await run("--local", "web3");
  expect(timeless(stdout)).toContain("[failed TIME] site Forgive (ignored)");
  expect(stdout).toMatch(/0 failed, 1 ignored, 0 not executed\.$/m);
  expect(code).toBe(0);
});

test("--check changes nothing, --diff shows what would", async () => {
  const { code, stdout } = await run("--local=web1", "--check", "--diff");
  expect(code).toBe(0);
  expect(existsSync(`${work}/page.html`)).toBe(false);
  expect(timeless(stdout).slice(0, 3)).toEqual([
    "[changed TIME] site Install the page",
    `    --- ${work}/page.html`,
    "    +<h1>Hi</h1>",
  ]);
  expect(timeless(stdout)).toContain("[unknown TIME] site Say");
  expect(stdout).toContain("only running echo tells whether it changes anything");
});

test("-v also tells what commands print, why tasks are skipped, and how long plays are", async () => {
  const { stdout } = await run("-v", "--local", "web1");
  const lines = timeless(stdout);
  expect(lines[0]).toBe("play Everyone: 8 actions");
  const said = lines.indexOf("[unchanged TIME] site Say");
  expect(lines[said - 1]).toBe("    hello there");
  expect(lines[lines.indexOf("[skipped TIME] site Never here") + 1]).toBe("    the condition does not hold");
});

test("--tags and --skip-tags pick tasks, comma separated or again and again", async () => {
  const tasks = async (...args: readonly string[]): Promise<number> =>
    timeless((await run("--local", "web1", "--check", ...args)).stdout).filter((line) => line.startsWith("["))
      .length;
  expect(await tasks("-t", "say,nothing")).toBe(1);
  expect(await tasks("-t", "nothing", "--tags", "say")).toBe(1);
  expect(await tasks("--skip-tags", "say")).toBe(8);
});

test("--debug writes every event as a line of JSON on standard error, and leaves standard output as it is", async () => {
  const { stdout, stderr } = await run("--local", "web1", "--debug");
  const types = stderr
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { readonly type: string }).type);
  expect(types[0]).toBe("facts");
  expect(types.filter((type) => type === "task:end")).toHaveLength(9);
  expect(timeless(stdout).at(-1)).toMatch(/^web1: 9 total/);
});

test("--list names plays, hosts and files", async () => {
  const { code, stdout } = await run("--list");
  expect(code).toBe(0);
  expect(stdout).toBe(`site.ts
  play  Everyone (all): site
  play  Slow (slow1): slow
  host  web1: 1 of 2 plays
  host  web2: 1 of 2 plays
  host  web3: 1 of 2 plays
  host  slow1: 2 of 2 plays
  host  slow2: 1 of 2 plays
  file  roles/site/files/page.html (12 bytes)
  file  roles/site/templates/config.j2 (18 bytes)
`);
});

test("--help tells of every option; without arguments it is wrong usage", async () => {
  const help = await run("--help");
  expect(help.code).toBe(0);
  for (const option of [
    "--local",
    "--check",
    "--diff",
    "--tags",
    "--skip-tags",
    "--verbose",
    "--debug",
    "--vars",
    "--output",
    "--wait",
    "--list",
  ]) {
    expect(help.stdout).toContain(option);
  }
  const none = await run();
  expect(none).toMatchObject({ code: 1, stdout: help.stdout });
});

test.each([
  [
    ["--local", "wbe1"],
    /^volley: this bundle was not made for "wbe1"; did you mean "web1"\? \(it was made for: web1, web2, /,
  ],
  [["--local", "elsewhere"], /^volley: this bundle was not made for "elsewhere" \(it was made for: /],
  [["--local", "toString"], /^volley: this bundle was not made for "toString"/],
  [["--loacl", "web1"], /^volley: Unknown option '--loacl'; --help shows the options/],
  [["web1"], /^volley: Unexpected argument 'web1'/],
  [["--check"], /^volley: say which host this is with --local HOST/],
  [["--local"], /^volley: .*--local/],
  [["--local", "web1", "--output", "xml"], /^volley: --output is text or json/],
  [["--local", "web1", "--wait", "long"], /^volley: --wait is a number of seconds/],
  [
    ["--local", "web1", "--vars", "/nowhere.json"],
    /^volley: --vars: \/nowhere.json cannot be read \(ENOENT\)/,
  ],
])("%j is wrong usage, and nothing is run", async (args, message) => {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toMatch(message);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(stdout).toBe("");
  expect(code).toBe(1);
});

test("an interrupt stops after the action now running: exit code 130", async () => {
  let interrupted = false;
  const { code, stdout, stderr } = await runBundle(project.file, ["-v", "--local", "slow1"], {
    onStart: (child) =>
      child.stdout?.on("data", (text: string) => {
        // The bundle prints the word a second time when the action has ended.
        if (interrupted || !text.includes("waiting")) return;
        interrupted = true;
        child.kill("SIGINT");
      }),
  });
  expect(stderr).toBe("volley: stopping after the action now running; interrupt again to end it too\n");
  expect(timeless(stdout)).toContain("[changed TIME] slow Wait");
  expect(stdout).toMatch(/0 failed, 1 not executed\.$/m);
  expect(code).toBe(130);
});

test("a second interrupt ends the action too", async () => {
  let interrupts = 0;
  const { code, stdout } = await runBundle(project.file, ["-v", "--local", "slow1"], {
    onStart: (child) => {
      child.stdout?.on("data", (text: string) => {
        if (text.includes("waiting") && interrupts++ === 0) child.kill("SIGINT");
      });
      child.stderr?.on("data", () => {
        if (interrupts++ === 1) child.kill("SIGINT");
      });
    },
  });
  expect(timeless(stdout)).toContain("[failed TIME] slow Wait");
  expect(stdout).toMatch(/1 failed, 1 not executed\.$/m);
  expect(code).toBe(130);
});

/** The events on standard output. */
const eventsOf = (stdout: string): readonly TargetEvent[] =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as TargetEvent);

describe("--output json", () => {
  test("prints the protocol's events, numbered, from hello to bye with the tally; exit codes stay", async () => {
    const { code, stdout, stderr } = await run("--local", "web2", "--output", "json");
    const events = eventsOf(stdout);
    expect(stderr).toBe("");
    expect(events.map((event) => (event as WireEvent).seq)).toEqual(events.map((_, index) => index + 1));
    expect(events[0]).toMatchObject({
      type: "hello",
      protocol: 1,
      bundle: project.id,
      node: process.version,
    });
    expect(events.at(-1)).toMatchObject({
      type: "bye",
      tally: { unchanged: 2, changed: 2, skipped: 2, failed: 1, ignored: 0, rescued: 0, notExecuted: 2 },
    });
    expect(events.filter(({ type }) => type === "task:end")).toHaveLength(7);
    expect(code).toBe(2);
  });

  test("has no line that is no event, whatever a role prints", async () => {
    using talking = await bundleProject({
      "site.ts": `
import { definePlaybook, noop } from "volley";
export default definePlaybook([{ name: "P", hosts: "all", tasks: ({ task }) => {
  console.log("to standard output");
  process.stdout.write("in pieces\\n");
  task("Nothing", noop({}));
} }]);
`,
    });
    const { code, stdout } = await runBundle(talking.file, ["--local", "a", "--output", "json"]);
    const logs = eventsOf(stdout).filter((event) => event.type === "log");
    expect(logs.map(({ text }) => text)).toEqual(["to standard output", "in pieces"]);
    expect(code).toBe(0);
  });

  test("ends with bye and its error where the run cannot be carried out", async () => {
    using broken = await bundleProject({
      "site.ts": `
import { definePlaybook } from "volley";
if (process.env.VOLLEY_TEST_BREAKS) throw new Error("no such luck");
export default definePlaybook([{ name: "P", hosts: "all", tasks: () => {} }]);
`,
    });
    const { code, stdout, stderr } = await runBundle(broken.file, ["--local", "a", "--output", "json"], {
      env: { ...process.env, HOME: broken.directory, VOLLEY_TEST_BREAKS: "1" },
    });
    expect(eventsOf(stdout).at(-1)).toMatchObject({ type: "bye", error: { message: "no such luck" } });
    expect(stderr).toContain("no such luck");
    expect(code).toBe(1);
  });
});

describe("--vars", () => {
  let bare: BundledProject;
  beforeAll(async () => {
    bare = await bundleProject({
      "site.ts": `
import { debug, definePlaybook, fail } from "volley";
const say = (text) => ({ task, vars, host, groups }) =>
  void task(text, debug([text, host.groups.join("+"), (groups?.db ?? []).join("+"), vars.word, vars.password].join(" ")));
export default definePlaybook([
  { name: "Web", hosts: "web:!staging", tasks: say("web") },
  { name: "First", hosts: "db[0]", tasks: say("first") },
  { name: "All", hosts: "all", tasks: say("all") },
]);
`,
    });
  });
  afterAll(() => bare[Symbol.dispose]());

  /** The messages of the tasks that were carried out with these vars, read from standard input. */
  const messages = async (given: unknown, host = "web1"): Promise<readonly unknown[]> => {
    const { stdout } = await runBundle(bare.file, ["--local", host, "--output", "json", "--vars", "-"], {
      input: typeof given === "string" ? given : JSON.stringify(given),
    });
    return eventsOf(stdout).flatMap((event) => (event.type === "task:end" ? [event.result.message] : []));
  };

  test("without groups every play is for any host", async () => {
    expect(await messages({ word: "hi" })).toHaveLength(3);
  });

  test("groups choose the plays by their patterns", async () => {
    expect(await messages({ group_names: ["web"] })).toEqual([
      expect.stringMatching(/^web web/),
      expect.stringMatching(/^all web/),
    ]);
    expect(await messages({ group_names: ["web", "staging"] })).toEqual([expect.stringMatching(/^all web/)]);
    const groups = { web: ["web1"], db: ["db1", "web1"] };
    expect(await messages({ groups }, "db1")).toEqual([
      expect.stringMatching(/^first db/),
      expect.stringMatching(/^all db/),
    ]);
    expect(await messages({ groups }, "web1")).toHaveLength(2);
  });

  test("a host that no play is for is told so, and nothing is done", async () => {
    using far = await bundleProject({
      "site.ts": `
import { debug, definePlaybook } from "volley";
export default definePlaybook([{ name: "P", hosts: "mars", tasks: ({ task }) => void task("T", debug("x")) }]);
`,
    });
    const none = await runBundle(far.file, ["--local", "a", "--vars", "-"], { input: '{"group_names":[]}' });
    expect(none.stdout).toContain("no play of site.ts is for a");
    expect(none.stdout).toMatch(/^a: 0 total actions/m);
    expect(none.code).toBe(0);
  });

  test("vars win over those of the bundle, and their texts are no templates", async () => {
    const { stdout } = await runBundle(project.file, ["--local", "web1", "--vars", "-"], {
      input: JSON.stringify({ word: "{{ 6 * 7 }}" }),
    });
    expect(timeless(stdout)).toContain("    shown {{ 6 * 7 }}");
    expect(readFileSync(`${work}/config`, "utf8")).toBe("word = {{ 6 * 7 }}\n");
  });

  test("secrets are masked, in text and in JSON", async () => {
    const given = { password: "open sesame", volley_secrets: ["password"] };
    const told = await messages(given);
    expect(told).toEqual([expect.stringContaining("********"), ...told.slice(1)]);
    expect(JSON.stringify(told)).not.toContain("sesame");
    const { stdout, stderr } = await runBundle(bare.file, ["--local", "a", "--vars", "-", "--debug"], {
      input: JSON.stringify(given),
    });
    expect(stdout).toContain("********");
    expect(`${stdout}${stderr}`).not.toContain("sesame");
  });

  test.each([
    ["{ sesame", /^volley: --vars: standard input is not JSON$/],
    ['["sesame"]', /^volley: --vars: standard input is not an object in JSON$/],
    ['{"group_names":"sesame"}', /^volley: --vars: standard input has a wrong "group_names"$/],
    ['{"groups":{"web":"sesame"}}', /^volley: --vars: standard input has a wrong "groups"$/],
    ['{"hostvars":["sesame"]}', /^volley: --vars: standard input has a wrong "hostvars"$/],
    ['{"volley_secrets":"sesame"}', /^volley: --vars: standard input has a wrong "volley_secrets"$/],
  ])("%j is refused without a word of it", async (input, message) => {
    const { code, stdout, stderr } = await runBundle(bare.file, ["--local", "a", "--vars", "-"], { input });
    expect(stderr.trimEnd()).toMatch(message);
    expect(stdout).toBe("");
    expect(code).toBe(1);
  });

  test("a file that holds secrets must be closed to others", async () => {
    const file = bare.path("vars.json");
    writeFileSync(file, '{"password":"open sesame","volley_secrets":["password"]}', { mode: 0o644 });
    const open = await runBundle(bare.file, ["--local", "a", "--vars", file]);
    expect(open.stderr).toMatch(/vars.json holds secrets, and is open to other users: chmod 600 it/);
    expect(open.code).toBe(1);
    chmodSync(file, 0o600);
    const closed = await runBundle(bare.file, ["--local", "a", "--vars", file]);
    expect(closed.stdout).toContain("********");
    expect(closed.code).toBe(0);
  });

  test("the files that the command line names are those of the directory where it is given", async () => {
    writeFileSync(bare.path("here.json"), '{"password":"open sesame"}');
    const args = ["--local", "a", "--vars", "here.json", "--events", "events.jsonl"];
    const end = await runBundle(bare.file, args, { cwd: bare.path("") });
    expect(end).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(bare.path("events.jsonl"), "utf8")).toContain('"type":"bye"');
  });
});

test("two runs of one user on a machine work one after the other; check mode waits for nobody", async () => {
  let second: ReturnType<typeof run> | undefined;
  let check: ReturnType<typeof run> | undefined;
  let impatient: ReturnType<typeof run> | undefined;
  const first = await runBundle(project.file, ["-v", "--local", "slow1", "--vars", "-"], {
    input: '{"seconds":3}',
    onStart: (child) =>
      child.stdout?.on("data", (text: string) => {
        if (second !== undefined || !text.includes("waiting")) return;
        impatient = run("--local", "web1", "--wait", "0");
        second = run("--local", "web1", "--wait", "60");
        check = run("--local", "web1", "--check");
      }),
  });
  expect(first.code).toBe(0);
  expect((await second!).stdout).toContain("waiting for run local-");
  expect(await second).toMatchObject({ code: 0 });
  expect(await impatient).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^volley: the host is being worked on by run local-\d+ of site.ts --local slow1/,
    ),
  });
  expect((await check!).stdout).not.toContain("waiting for");
});

test("without a place for a lock a run warns and goes on", async () => {
  writeFileSync(project.path("no-directory"), "");
  const { code, stdout } = await runBundle(project.file, ["--local", "web1"], {
    env: { ...process.env, HOME: project.path("no-directory") },
  });
  expect(stdout).toContain("the host's lock cannot be taken");
  expect(code).toBe(0);
});

test("a bundle that a run sends has no command line, and says so", async () => {
  using sent = await bundleProject({
    "site.ts": `
import { definePlaybook } from "volley";
export default definePlaybook([{ name: "P", hosts: "all", tasks: () => {} }]);
`,
  });
  const prepared = await preparePlaybook("site.ts", sent.directory);
  writeFileSync(sent.file, (await prepared.bundle({ vars: [] })).bytes);
  const { code, stderr } = await runBundle(sent.file, ["--help"]);
  expect(stderr).toBe("volley: this bundle is part of a run; volley bundle makes one to carry\n");
  expect(code).toBe(1);
});

test("a bundle made without an inventory runs every play for whoever runs it", async () => {
  using bare = await bundleProject({
    "site.ts": `
import { debug, definePlaybook } from "volley";
export default definePlaybook([{ name: "P", hosts: "all", tasks: ({ task, host }) => void task("Say", debug(host.name)) }]);
`,
  });
  const { code, stdout } = await runBundle(bare.file, ["--local", "anything"]);
  expect(timeless(stdout)).toEqual([
    "[unchanged TIME] P Say",
    "    anything",
    "anything: 1 total actions in TIME: 1 unchanged, 0 changed, 0 skipped, 0 failed, 0 not executed.",
  ]);
  expect(code).toBe(0);
});

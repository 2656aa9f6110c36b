import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../e2e/lib/cli.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";

// Playbooks that check the language by `assert` tasks of their own. ansible-playbook carries them out as well: `-i here,
// -c local -e scratch=DIRECTORY`.

const playbooks = fileURLToPath(new URL("playbooks", import.meta.url));
const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

interface Carried extends CliEnd {
  readonly scratch: string;
}

async function carryOut(playbook: string, ...args: readonly string[]): Promise<Carried> {
  const directory = mkdtempSync(join(scratch(), "project-"));
  cpSync(playbooks, directory, { recursive: true });
  const made = mkdtempSync(join(scratch(), "made-"));
  const end = await volleyHere(
    [
      "run",
      playbook,
      "-o",
      "ansible",
      "-i",
      "here,",
      "-e",
      "ansible_connection=local",
      "-e",
      `scratch=${made}`,
      ...args,
    ],
    { cwd: directory, env: { ANSIBLE_CONFIG: "" } },
  );
  return { ...end, scratch: made };
}

test("wrong arguments are named in the words that playbooks look for", async () => {
  const end = await carryOut("arguments.yml");
  expect(end.stdout + end.stderr).toContain("All assertions passed");
  expect(end.code).toBe(0);
});

test("facts of the wanted subsets and names, and local facts, of which some are programs", async () => {
  const end = await carryOut("facts.yml");
  expect(end.stdout + end.stderr).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

test("errors cleared by a block, an environment that waits for facts, and vars that an include gives", async () => {
  const end = await carryOut("clearing.yml");
  expect(end.stdout + end.stderr).not.toMatch(/Assertion failed/);
  expect(end.stdout).toMatch(/failed=0 +skipped=0 +rescued=6 +ignored=1/);
  expect(end.code).toBe(0);
});

test("blocks, loops, results, rules, lookups and background tasks", async () => {
  const end = await carryOut("control.yml", "-v");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
  expect(end.stdout).toMatch(/ok=79 +changed=19 +unreachable=0 +failed=0 +skipped=5 +rescued=4 +ignored=7/);
  expect(end.stdout).not.toMatch(/"msg": "secret"/);
});

test("links of a tree are copied as links, or followed but for those that lead nowhere or up", async () => {
  const end = await carryOut("links.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

test("roles, their dependencies and vars, includes and specs of arguments", async () => {
  const end = await carryOut("roles.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

test("handlers run once, in the order of their definitions, and by force after a failure", async () => {
  const end = await carryOut("handlers.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(2);
  expect(end.stdout).toContain("TASK [The end]");
  expect(end.stdout).toMatch(/ok=27 +changed=10 +unreachable=0 +failed=1 +skipped=2 +rescued=0 +ignored=0/);
  expect(readFileSync(join(end.scratch, "forced"), "utf8")).toBe("ran\n");
});

test("what modules return and say", async () => {
  const end = await carryOut("modules.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.stderr).toMatch(/conditional statements should not include jinja2/);
  expect(end.code).toBe(0);
});

test("keys and values of registers", async () => {
  const end = await carryOut("returned.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
}, 60_000);

test("vars by their precedence, files of vars, kinds of values, groups and what is learned", async () => {
  const end = await carryOut("vars.yml", "-e", '{"extra": "given", "extra_list": [1, 2]}');
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

test("files of the controller as they are by now, relative paths, sources of vars, labels", async () => {
  const end = await carryOut("here.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
  expect(end.stdout).toContain("ok: [here] => (item=labelled two) => {");
});

test("an imported playbook has roles, files and modules of its own; extra vars may name what is imported", async () => {
  const end = await carryOut("imports.yml", "-e", "playbook_name=named tasks_name=part");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

test("what filters say of values that do not fit", async () => {
  const end = await carryOut("filters.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

test("imported roles show their vars from the start; doubles and specs are as the statement has them", async () => {
  const end = await carryOut("exposed.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

test("nothing rescues an include whose file cannot be read", async () => {
  const directory = mkdtempSync(join(scratch(), "project-"));
  const block =
    "{ block: [include_tasks: broken.yml], rescue: [debug: msg=rescued], always: [debug: msg=at-last] }";
  writeFileSync(join(directory, "site.yml"), `- { hosts: all, gather_facts: false, tasks: [${block}] }\n`);
  writeFileSync(join(directory, "broken.yml"), "- debug: {msg: x}\n  nosuchkey: 1\n");
  const end = await volleyHere(["run", "site.yml", "-i", "here,", "-c", "local"], {
    cwd: directory,
    env: { ANSIBLE_CONFIG: "" },
  });
  expect(end.stdout).toContain("nosuchkey");
  expect(end.stdout).not.toMatch(/"rescued"|at-last/);
  expect(end.code).not.toBe(0);
});

test("a role whose directory is the playbook's has its vars", async () => {
  expect(await carryOut("roles/itself/play.yml")).toMatchObject({ code: 0 });
});

test("the vars of connections, and templates beside templates", async () => {
  const end = await carryOut("places.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

const BY_TAG = [
  "applied",
  "block",
  "block-two",
  "imported",
  "included-one",
  "one",
  "one-two",
  "role-imported",
];

test.each([
  ["--tags", "one", ["always", ...BY_TAG]],
  ["--skip-tags", "one", ["always", "plain"]],
  ["--tags", "all,never", ["always", ...BY_TAG, "included", "never", "plain", "role-included"]],
])("%s %s", async (option, tags, made) => {
  const end = await carryOut("tags.yml", option, tags);
  expect(end.code).toBe(0);
  expect(readdirSync(end.scratch)).toEqual(made.sort());
});

test("a task with run_once is done by one host, and the others have its result", async () => {
  const end = await carryOut("once.yml", "-i", "there,");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
  expect(readFileSync(join(end.scratch, "done"), "utf8")).toMatch(/^(?:here|there)\n$/);
});

test("check lists modules that nobody has, with their places", async () => {
  const directory = mkdtempSync(join(scratch(), "project-"));
  writeFileSync(join(directory, "site.yml"), "- hosts: all\n  tasks:\n    - dbug: msg=a\n    - ping:\n");
  const end = await volleyHere(["check", "site.yml", "-i", "here,"], {
    cwd: directory,
    env: { ANSIBLE_CONFIG: "" },
  });
  expect(end.stderr).toBe(
    'volley: site.yml:3:7: there is no module "dbug"; did you mean "debug"?; a run fails where it reaches this task\n',
  );
  expect(end).toMatchObject({ code: 0, stdout: "site.yml: 1 play compiles; 1 host selected\n" });
});

test("rules that cannot be asked fail a task; an include of the old kind is an import where it can be", async () => {
  const end = await carryOut("faults.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
  expect(end.stdout).toMatch(/ok=13 +changed=2 +unreachable=0 +failed=0 +skipped=1 +rescued=0 +ignored=2/);
});

test("modules of the play's own refuse options that they do not have", async () => {
  const end = await carryOut("options.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
});

const FAULTS = {
  "- { hosts: all, include: x.yml }\n":
    /^ERROR! 'include' is not a valid attribute for a Play\n\nat site\.yml:1:17\n\n.*\n {16}\^ here\n$/,
  "- { hosts: all, tasks: [{ import_tasks: words.yml }] }\n":
    /^ERROR! .*\n\nat words\.yml:1:1\n\nno tasks\n\^ here\n$/,
  "- { hosts: all, tasks: [{ block: [{ command: 'true', notify: none }], rescue: [{ debug: }] }] }\n":
    /^ERROR! The requested handler 'none' was not found in either the main handlers list nor in the listening handlers list\n$/,
  "- { hosts: all, tasks: [{ block: [{ debug: , register: 2 }], always: [{ debug: }] }] }\n":
    /^ERROR! Invalid variable name in 'register' specified: '2'\n$/,
};
for (const [play, told] of Object.entries(FAULTS))
  test(`a fault of the playbook is told as scripts look for it, and nothing rescues it: ${play}`, async () => {
    const directory = mkdtempSync(join(scratch(), "project-"));
    writeFileSync(join(directory, "site.yml"), play);
    writeFileSync(join(directory, "words.yml"), "no tasks\n");
    const end = await volleyHere(["run", "site.yml", "-i", "here,", "-c", "local"], {
      cwd: directory,
      env: { ANSIBLE_CONFIG: "" },
    });
    expect(end.stderr).toMatch(told);
    expect(end.code).not.toBe(0);
    expect(end.stdout).not.toContain("Hello world!");
  });

test("lookups, debug and setup, where they are seldom asked", async () => {
  const end = await carryOut("lookups.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
  expect(end.stdout).toMatch(
    /here +: ok=27 +changed=3 +unreachable=0 +failed=0 +skipped=0 +rescued=0 +ignored=4/,
  );
});

test("-vv shows debug of that verbosity, and what meta tasks do", async () => {
  const directory = mkdtempSync(join(scratch(), "project-"));
  const tasks =
    "[{ debug: { msg: loud, verbosity: 2 } }, { meta: noop }, { meta: end_host, when: ansible_verbosity != 2 }, { meta: end_play }, { debug: { msg: never } }]";
  writeFileSync(join(directory, "site.yml"), `- { hosts: all, gather_facts: false, tasks: ${tasks} }\n`);
  const run = (...args: readonly string[]): Promise<CliEnd> =>
    volleyHere(["run", "site.yml", "-i", "here,", "-c", "local", ...args], {
      cwd: directory,
      env: { ANSIBLE_CONFIG: "" },
    });
  const loud = await run("-vv");
  const goesOn = "end_host conditional evaluated to False, continuing execution for here";
  expect(loud.stdout).toContain('"msg": "loud"');
  expect(loud.stdout.match(/^META: .*/gm)).toEqual(["META: noop", `META: ${goesOn}`, "META: ending play"]);
  expect(loud.stdout).toContain(`"skip_reason": "${goesOn}"`);
  expect(loud.stdout).not.toContain("never");
  expect((await run()).stdout).not.toMatch(/loud|META/);
});

test("topics of handlers, and what is only warned of", async () => {
  const end = await carryOut("topics.yml");
  expect(end.stderr + end.stdout).not.toMatch(/Assertion failed/);
  expect(end.code).toBe(0);
  const warnings = end.stderr.replace(/\s+/g, " ");
  expect(warnings).toContain("[WARNING]: Handler '{{ nobody }}' is unusable");
  expect(warnings).toContain(
    "[WARNING]: conditional statements should not include jinja2 templating delimiters",
  );
});

const NO_HANDLERS = {
  "{ name: a, include_role: { name: none } }": "Using 'include_role' as a handler is not supported.",
  "{ name: a, block: [{ block: [{ debug: }] }] }": "Using a block as a handler is not supported.",
  "{ name: a, meta: flush_handlers }": "flush_handlers cannot be used as a handler",
};
test.each(Object.entries(NO_HANDLERS))("no handler: %s", async (handler, told) => {
  const directory = mkdtempSync(join(scratch(), "project-"));
  writeFileSync(
    join(directory, "site.yml"),
    `- { hosts: all, tasks: [{ ping: }], handlers: [${handler}] }\n`,
  );
  const end = await volleyHere(["run", "site.yml", "-i", "here,", "-c", "local"], {
    cwd: directory,
    env: { ANSIBLE_CONFIG: "" },
  });
  expect(end).toMatchObject({ code: 1, stdout: "" });
  expect(end.stderr).toContain(`ERROR! ${told}\n`);
});

test("the types of texts: of YAML, of expressions, of hosts, and of vaults", async () => {
  const password = join(scratch(), "text-types-password");
  writeFileSync(password, "secret\n", { mode: 0o600 });
  const end = await carryOut("text-types.yml", "--vault-password-file", password);
  expect(end.stdout + end.stderr).toMatch(/failed=0 /);
  expect(end.code).toBe(0);
});

test("the names of roles in collections, and what a role's spec says of wrong arguments", async () => {
  const end = await carryOut("role-names.yml");
  expect(end.stdout + end.stderr).toMatch(/failed=0 +skipped=0 +rescued=1 /);
  expect(end.stdout).toContain("TASK [the role again] *");
  expect(end.stdout).toContain("TASK [include_role : inner] *");
  expect(end.code).toBe(0);
});

test("keywords that are neither yes nor no, tags that a var names, and dependencies done before", async () => {
  const whole = await carryOut("flags.yml");
  expect(whole.stdout).toMatch(/failed=0 +skipped=1 +rescued=0 +ignored=3 /);
  expect(whole.stderr).toContain("Found variable using reserved name: lipsum");
  expect(whole.code).toBe(0);

  // Nothing counts tasks below zero, where most of them are not wanted.
  const dependents = await carryOut("flags.yml", "--tags", "dependents");
  expect(dependents.stdout.match(/"in (?:first|second|shared)"/g)).toEqual([
    '"in shared"',
    '"in first"',
    '"in second"',
  ]);
  expect(dependents.code).toBe(0);
  const last = await carryOut("flags.yml", "--tags", "last");
  expect(last.stdout).toMatch(/ok=1 .*unreachable=0 +failed=0 /);

  const listed = await carryOut("flags.yml", "--list-tasks");
  expect(listed.stdout).toContain("named\tTAGS: [one, two]");
});

test.skipIf(process.getuid?.() !== 0)("the environment that lets tasks write files in place", async () => {
  const end = await carryOut("in-place.yml");
  expect(end.stdout + end.stderr).toMatch(/failed=0 +skipped=0 +rescued=0 +ignored=2 /);
  expect(end.code).toBe(0);
});

test("a play whose user is not there yet", async () => {
  const end = await carryOut("late-user.yml");
  expect(end.stdout + end.stderr).toMatch(/failed=0 +skipped=0 +rescued=0 +ignored=1 /);
  expect(end.code).toBe(0);
});

test("a strategy that a var names", async () => {
  for (const given of [[], ["-e", "pace=free"]]) {
    const end = await carryOut("pace.yml", ...given);
    expect(end.stdout).toMatch(/first.*second.*ok=2 .*failed=0 /s);
    expect(end.code).toBe(0);
  }
});

import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { CliEnd } from "./lib/cli.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES } from "./lib/project.ts";
import { hosts, role, site, tasks, withRole } from "./lib/sources.ts";

const scratch = scratchDirectory();

interface Case {
  readonly what: string;
  readonly files: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly says: RegExp;
}

const typedVars = "  vars: v.object({ workers: v.number(), domain: v.string() }),\n";

const cases: readonly Case[] = [
  {
    what: "no playbook named",
    files: site,
    args: ["run"],
    says: /^error: missing required argument 'playbook'/,
  },
  {
    what: "no such playbook",
    files: { ...site, ...hosts },
    args: ["run", "sight.ts"],
    says: /^volley: there is no playbook sight\.ts \(looked for .*\/sight\.ts\)$/,
  },
  {
    what: "no inventory",
    files: site,
    args: ["run", "site.ts"],
    says: /^volley: there is no inventory here \(name one with -i: .*\)$/,
  },
  {
    what: "an inventory that is not there",
    files: site,
    args: ["run", "site.ts", "-i", "nowhere"],
    says: /^volley: .*nowhere/,
  },
  {
    what: "a pattern that matches nothing",
    files: { "site.ts": playbookText(TWO_FILES.replace('"all"', '"wbe"')), ...hosts },
    args: ["run", "site.ts"],
    says: /^volley: .*wbe.*web/,
  },
  {
    what: "an unknown host",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "-l", "web9"],
    says: /^volley: .*web9/,
  },
  {
    what: "an inventory that is no YAML",
    files: { ...site, "inventory/hosts.yaml": "all:\n  hosts:\n    web1:\n   web2: [\n" },
    args: ["run", "site.ts"],
    says: /^volley: inventory\/hosts\.yaml:3:\d+: /,
  },
  {
    what: "a role that is not there",
    files: { ...hosts, "site.ts": withRole("web()") },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:2:\d+: Could not resolve "\.\/roles\/web\/role\.ts"/,
  },
  {
    what: "a syntax error",
    files: {
      ...hosts,
      "site.ts":
        "import { definePlaybook } from 'volley';\nexport default definePlaybook([\n  { hosts: 'all' \n  roles: [] }]);\n",
    },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:4:3: Expected "}" but found "roles"/,
  },
  {
    what: "an unknown key in a play",
    files: { ...hosts, "site.ts": playbookText('{ hosts: "all", role: [] }') },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:3:\d+: play "all": unknown key "role".*roles.*\(a play takes: name, hosts, .*\)$/,
  },
  {
    what: "no plays",
    files: { ...hosts, "site.ts": playbookText("") },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:\d+:\d+: the playbook has no plays \(write at least one: /,
  },
  {
    what: "a play without hosts",
    files: { ...hosts, "site.ts": playbookText("{ tasks: () => {} } as never") },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:\d+:\d+: play "without a name": `hosts` must be a pattern such as "web" or "all"$/,
  },
  {
    what: "an asset of a play's own task that is missing",
    files: { ...hosts, "site.ts": tasks('task("C", copy({ src: "x.txt", dest: "/tmp/x" }));') },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:6:\d+: the playbook has no file files\/x\.txt /,
  },
  {
    what: "no playbook exported",
    files: { ...hosts, "site.ts": "export const x = 1;\n" },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts exports no playbook \(write `export default definePlaybook/,
  },
  {
    what: "a playbook that throws",
    files: {
      ...hosts,
      "site.ts":
        'import { definePlaybook } from "volley";\nconst settings: { a?: { b: string } } = {};\nexport default definePlaybook([{ hosts: settings.a!.b }]);\n',
    },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:3:\d+: TypeError: Cannot read properties of undefined \(reading 'b'\)$/,
  },
  {
    what: "an unknown role var",
    files: {
      ...hosts,
      "site.ts": withRole("web({ worker: 4 } as never)"),
      "roles/web/role.ts": role("", typedVars),
    },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:4:\d+: role "web" has no var "worker".*workers.*\(its vars are: workers, domain\)$/,
  },
  {
    what: "a wrong role var",
    files: {
      ...hosts,
      "site.ts": withRole('web({ workers: "four" as never, domain: "d" })'),
      "roles/web/role.ts": role("", typedVars),
    },
    args: ["run", "site.ts"],
    says: /^volley: .*site\.ts:4:\d+: role "web" on web1: var "workers": .*number.*four/,
  },
  {
    what: "a missing role var",
    files: { ...hosts, "site.ts": withRole("web({ workers: 4 })"), "roles/web/role.ts": role("", typedVars) },
    args: ["run", "site.ts"],
    says: /^volley: .*role "web" on web1: var "domain" is missing \(give it in the play, `web\(\{ … \}\)`, or as a var of the host or one of its groups\)$/,
  },
  {
    what: "an action with a wrong parameter",
    files: { ...hosts, "site.ts": tasks('task("Write", copy({ content: "a", dst: "/tmp/a" } as never));') },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:6:\d+: copy: unknown parameter "dst".*dest.*\(copy takes: .*dest.*\)$/,
  },
  {
    what: "an action without what it needs",
    files: { ...hosts, "site.ts": tasks('task("Write", copy({ content: "a" } as never));') },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:6:\d+: copy: .*"dest" is required/,
  },
  {
    what: "an unknown option of a task",
    files: {
      ...hosts,
      "site.ts": tasks('task("Say", copy({ content: "a", dest: "/tmp/a" }), { notfy: "x" } as never);'),
    },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:6:\d+: role "One": task "Say": unknown option "notfy"; did you mean "notify"\? \(a task takes: when, notify, .*\)$/,
  },
  {
    what: "a task without an action",
    files: { ...hosts, "site.ts": tasks('task("Say", undefined as never);') },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:6:\d+: role "One": task "Say" needs an action, such as /,
  },
  {
    what: "a handler that is not there",
    files: {
      ...hosts,
      "site.ts": withRole("web()"),
      "roles/web/role.ts": role(
        'task("D", debug({ msg: "x" }), { notify: "relaod" as never });',
        '  handlers: { reload: debug({ msg: "r" }) },\n',
      ),
    },
    args: ["run", "site.ts"],
    says: /^volley: roles\/web\/role\.ts:9:\d+: role "web": task "D" notifies "relaod".*; did you mean "reload"\? \(declared by now: reload\)$/,
  },
  {
    what: "a template that is missing",
    files: {
      ...hosts,
      "site.ts": withRole("web()"),
      "roles/web/role.ts": role('task("T", template({ src: "x.j2", dest: "/tmp/x" }));'),
      "roles/web/templates/y.j2": "",
    },
    args: ["run", "site.ts"],
    says: /^volley: .*role\.ts:8:\d+: role "roles\/web" has no file templates\/x\.j2 \(did you mean templates\/y\.j2\?\)$/,
  },
  {
    what: "an asset that is missing",
    files: {
      ...hosts,
      "site.ts": withRole("web()"),
      "roles/web/role.ts": role('task("C", copy({ src: "x.txt", dest: "/tmp/x" }));'),
    },
    args: ["run", "site.ts"],
    says: /^volley: .*role\.ts:8:\d+: role "roles\/web" has no file files\/x\.txt/,
  },
  {
    what: "a handler's asset that is missing",
    files: {
      ...hosts,
      "site.ts": withRole("web()"),
      "roles/web/role.ts": role("", '  handlers: { h: copy({ src: "h.txt", dest: "/tmp/h" }) },\n'),
    },
    args: ["run", "site.ts"],
    says: /^volley: .*h\.txt/,
  },
  {
    what: "top-level await",
    files: {
      ...hosts,
      "site.ts": `const x = await Promise.resolve(1);\n${playbookText(TWO_FILES)}void x;\n`,
    },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:1:\d+: a playbook cannot await at its top level: /,
  },
  {
    what: "what works only on the controller",
    files: { ...hosts, "site.ts": 'import { run } from "volley/controller";\nexport default run;\n' },
    args: ["run", "site.ts"],
    says: /^volley: site\.ts:1:\d+: "volley\/controller" works only on the controller; a playbook imports from "volley"$/,
  },
  {
    what: "-f 0",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "-f", "0"],
    says: /^error: option '-f, --forks <number>' argument '0' is invalid\. It must be a whole number of 1 or more\.$/,
  },
  {
    what: "a playbook as the value of --resume",
    files: { ...site, ...hosts },
    args: ["run", "--resume=site.ts"],
    says: /^error: option '--resume \[run\]' argument 'site\.ts' is invalid\. It is a playbook, not a run\.$/,
  },
  {
    what: "a number of runs that is none",
    files: site,
    args: ["runs", "-n", "some"],
    says: /^error: option '-n, --number <count>' argument 'some' is invalid\. It must be a whole number of 1 or more\.$/,
  },
  {
    what: "an unknown option",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "--fork", "3"],
    says: /^error: unknown option '--fork'/,
  },
  {
    what: "an unknown output kind",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "-o", "xml"],
    says: /^error: option '-o, --output <kind>' argument 'xml' is invalid\. Allowed choices are auto, ink, plain, json, ansible\.$/,
  },
  {
    what: "a user to become, not named",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "--become-user"],
    says: /^error: option '--become-user <name>' argument missing$/,
  },
  { what: "an unknown command", files: site, args: ["rnu"], says: /^error: unknown command 'rnu'/ },
  {
    what: "an unknown host key policy",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "--host-keys", "no"],
    says: /^error: .*Allowed choices are strict, ask, accept-new, off\.$/,
  },
  {
    what: "a bundle to be bundled",
    files: { "site.run": "#!/bin/sh\n" },
    args: ["bundle", "site.run", "-o", "again.run"],
    says: /^volley: site\.run is not a playbook \(it looks like a bundle: give the playbook it was made from, .* --local\)$/,
  },
  {
    what: "a bundle into nowhere",
    files: site,
    args: ["bundle", "site.ts", "-o", "no/where/site.run"],
    says: /^volley: cannot write no\/where\/site\.run: there is no such directory$/,
  },
  {
    what: "a bundle into a directory",
    files: { ...site, "out/x": "" },
    args: ["bundle", "site.ts", "-o", "out"],
    says: /^volley: cannot write out: it is a directory$/,
  },
  {
    what: "a bundle below a file",
    files: site,
    args: ["bundle", "site.ts", "-o", "site.ts/site.run"],
    says: /^volley: cannot write site\.ts\/site\.run: its path leads through a file$/,
  },
  {
    what: "a bundle without a name",
    files: site,
    args: ["bundle", "site.ts"],
    says: /^error: required option '-o, --output <file>' not specified$/,
  },
  {
    what: "a limit without an inventory",
    files: site,
    args: ["bundle", "site.ts", "-o", "x.run", "-l", "web1"],
    says: /^volley: --limit picks hosts of an inventory: name one with -i$/,
  },
  {
    what: "a file with a password that is not there",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "-b", "--become-password-file", "nosuch"],
    says: /^volley: cannot read the become password from nosuch: there is no such file$/,
  },
  {
    what: "a script that is a directory",
    files: hosts,
    args: ["exec", "web1", "--script", "inventory"],
    says: /^volley: cannot read the script inventory: it is a directory$/,
  },
  {
    what: "an empty limit",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "-l", ""],
    says: /^volley: no host is left to run on: the limit \(-l\) is empty \(leave it out for all hosts\)$/,
  },
  {
    what: "a limit that is nobody",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "-l", "web[10]"],
    says: /^volley: no host is left to run on: the limit \(-l\) "web\[10\]" is nobody \(see /,
  },
  {
    what: "a limit that leaves nobody of what is asked for",
    files: hosts,
    args: ["exec", "web1", "-l", "web2", "--", "true"],
    says: /^volley: no host is left to run on: the limit \(-l\) "web2" leaves none of "web1" \(see /,
  },
  {
    what: "hosts that are nobody",
    files: hosts,
    args: ["put", "web[10]", "inventory", "/tmp"],
    says: /^volley: no host is left to run on: "web\[10\]" is nobody \(see /,
  },
  {
    what: "a user in the name of a host",
    files: site,
    args: ["run", "site.ts", "-i", "root@127.0.0.1:2399,"],
    says: /^volley: .*"root@127\.0\.0\.1:2399" is not a host name: it holds a user; give the user with -u$/,
  },
  {
    what: "an empty inventory option",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "-i", ""],
    says: /^volley: the path of the inventory is empty \(name a file, .*\)$/,
  },
  {
    what: "a host of an inventory that a playbook in YAML goes on without",
    files: {
      "site.yml": "- hosts: all\n  tasks:\n    - ping:\n",
      "hosts.yml": "all:\n  hosts:\n    web1:\n  - x\n",
    },
    args: ["bundle", "site.yml", "-i", "hosts.yml", "-l", "web1", "-o", "site.run"],
    says: /^volley: no host or group is called "web1" \(hosts\.yml is passed over: not valid YAML: .*\)$/,
  },
  {
    what: "no tag in --tags",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "--tags", ","],
    says: /^error: option '-t, --tags <tags>' argument ',' is invalid\. It names no tag: leave it out /,
  },
  {
    what: "a file to get files into",
    files: { ...site, ...hosts },
    args: ["get", "web1", "/etc/hostname", "site.ts"],
    says: /^volley: cannot write in site\.ts: it is not a directory$/,
  },
  {
    what: "a file to get files below",
    files: { ...site, ...hosts },
    args: ["get", "web1", "/etc/hostname", "site.ts/below"],
    says: /^volley: cannot write in site\.ts\/below: its path leads through a file$/,
  },
  ...[["nonsens"], ["help", "nonsens"], ["nonsens", "--help"]].map((args) => ({
    what: `an unknown command: ${args.join(" ")}`,
    files: site,
    args,
    says: /^error: unknown command 'nonsens'$/,
  })),
  {
    what: "help for a command that is misspelt",
    files: site,
    args: ["help", "rum"],
    says: /^error: unknown command 'rum'$/,
  },
  {
    what: "a run to resume that is not there",
    files: { ...site, ...hosts },
    args: ["run", "site.ts", "--resume", "nope"],
    says: /^volley: there is no run nope here \(volley runs lists them\)$/,
  },
  {
    what: "a file whose name holds control characters",
    files: { ...site, "inv/a\x1b[31mb.yaml": "- x\n" },
    args: ["run", "site.ts", "-i", "inv"],
    says: /^volley: inv\/a\\u001b\[31mb\.yaml:1:1: /,
  },
];

function firstLine({ stderr }: CliEnd): string {
  return stderr.trimEnd().split("\n")[0] ?? "";
}

test.each(cases)("$what", async ({ files, args, says }) => {
  const project = makeProject(scratch(), files);
  const before = readdirSync(project.directory, { recursive: true });
  const end = await volleyHere(args, { cwd: project.directory });
  expect(firstLine(end)).toMatch(says);
  expect(end).toMatchObject({ code: 1, stdout: "" });
  // commander adds how to get help; everything else is one line.
  const lines = end.stderr.trimEnd().split("\n");
  expect(
    lines.slice(1).filter((line) => !/^\(--help shows what can be given\)$|^\(Did you mean |^$/.test(line)),
  ).toEqual([]);
  expect(end.stderr).not.toMatch(/\n\s+at |node:internal/);
  expect(readdirSync(project.directory, { recursive: true })).toEqual(before);
});

test("a directory for temporary files that is not there: named, with the variable", async () => {
  const project = makeProject(scratch(), site);
  const end = await volleyHere(["demo"], { cwd: project.directory, env: { TMPDIR: project.path("nope") } });
  expect(end).toMatchObject({
    code: 1,
    stdout: "",
    stderr: `volley: cannot write in ${project.path("nope")}: there is no such directory (TMPDIR names another directory for temporary files)\n`,
  });
});

test("a forbidden package in a role: refused, with the chain of imports", async () => {
  const project = makeProject(scratch(), {
    ...hosts,
    "site.ts": withRole("web()"),
    "roles/web/role.ts": `import "./connect.ts";\n${role("")}`,
    "roles/web/connect.ts": 'import { Client } from "ssh2";\nexport const client = new Client();\n',
  });
  symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), project.path("node_modules"));
  for (const args of [
    ["run", "site.ts"],
    ["bundle", "site.ts", "-o", "site.run"],
    ["check", "site.ts", "--no-types"],
  ]) {
    const end = await volleyHere(args, { cwd: project.directory });
    expect(end).toMatchObject({ code: 1, stdout: "" });
    expect(end.stderr).toMatch(
      /^volley: .*ssh2.* cannot run on a host: it belongs to the controller \(imported through site\.ts -> roles\/web\/role\.ts -> roles\/web\/connect\.ts -> .*ssh2.*\)\n$/,
    );
  }
  expect(existsSync(project.path("site.run"))).toBe(false);
});

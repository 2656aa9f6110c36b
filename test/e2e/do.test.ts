import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readAction } from "../../src/cli/do/arguments.ts";
import { playbookOf } from "../../src/cli/do/playbook.ts";
import { run } from "../../src/controller/run.ts";
import * as volley from "../../src/index.ts";
import { builtCli, type CliEnd } from "./lib/cli.ts";
import { fleetStarter, follow, ofType } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "./lib/project.ts";

// `volley do`, and the same actions as tasks of playbooks.

const scratch = scratchDirectory();
const startFleet = fleetStarter();
beforeAll(async () => void (await builtCli()), 600_000);

const LOCAL = ["-i", "web1,", "-c", "local"];
const carryOut = (at: Project, ...args: readonly string[]): Promise<CliEnd> =>
  volleyHere(["do", ...args], { cwd: at.directory });
const here = (at: Project, ...words: readonly string[]): Promise<CliEnd> =>
  carryOut(at, ...LOCAL, "web1", ...words);

/** A result without what differs from one time to the next, and with one name for the directory of the files. */
function comparable(result: unknown, directory = "none"): unknown {
  const text = JSON.stringify(result)
    .replaceAll(directory, "DIR")
    .replace(/ansible\.\w{8}/g, "ansible.NAME");
  return JSON.parse(text, (key, value: unknown) =>
    /^(?:start|end|delta|elapsed|elapsedMs|[acm]time|inode|version|location|stack)$/.test(key)
      ? undefined
      : value,
  );
}

describe("an action", () => {
  // Others ask package managers and databases of this machine, networks, or wait.
  const ASKED = new Set(
    "assemble assert authorized_key blockinfile command copy cron debug fail file find getent group ini_file known_hosts lineinfile noop pam_limits replace reboot shell slurp ssh_config stat sudoers tempfile template user xml".split(
      " ",
    ),
  );
  type Described = {
    readonly description: {
      readonly name: string;
      readonly examples: readonly Readonly<Record<string, unknown>>[];
    };
  };
  const examples = Object.values<unknown>(volley)
    .filter((each): each is Described => typeof each === "function" && "description" in each)
    .filter(({ description }) => ASKED.has(description.name))
    .flatMap(({ description: { name, examples: own } }) =>
      own.map((example) => [name, JSON.parse(JSON.stringify(example)) as Record<string, unknown>] as const),
    );
  const word = ([name, value]: readonly [string, unknown]): string => {
    if (typeof value === "string") return `${name}=${value.replace(/^@/, "@@")}`;
    // A command line has permission bits in octal.
    if (typeof value === "number" && name.endsWith("mode")) return `${name}=0${value.toString(8)}`;
    return `${name}=${JSON.stringify(value)}`;
  };

  test("has the result that a playbook's task has: documented examples, in check mode", async () => {
    const fleet = await startFleet({ count: 1 });
    const project = makeProject(scratch(), {
      "inventory.yaml": fleet.inventoryYaml(),
      "files/x": "x",
      "templates/x.j2": "{{ x }}",
    });
    const host = fleet.hosts[0]!.name;
    const done = await Promise.all(
      examples.map(async ([name, parameters]) => {
        const words = { action: name, words: Object.entries(parameters).map(word) };
        const action = await readAction(words, { cwd: project.directory, library: [], stdin: undefined });
        const { text } = playbookOf(host, action);
        return text.slice(1, -1).replace('"tasks": [{', '"tasks": [{"ignore_errors": true, ');
      }),
    );
    const played = examples.map(([name, parameters]) =>
      JSON.stringify({
        ...{ hosts: host, gather_facts: name === "debug" },
        tasks: [{ name, [name]: parameters, ignore_errors: true }],
      }),
    );
    const resultsOf = async (name: string, plays: readonly string[]) => {
      const { events } = await follow(
        run({
          inventory: project.path("inventory.yaml"),
          playbook: { name, text: `[${plays.join(",\n")}]` },
          ...{ via: "direct", check: true, diff: true, logDirectory: false, cwd: project.directory },
          knownHostsFiles: [fleet.knownHostsPath],
        }),
      );
      return ofType(events, "task:end")
        .filter(({ name: task }) => task !== "Gathering Facts")
        .map(({ action, result }) => ({ action, result: comparable(result) }));
    };
    const [one, other] = [await resultsOf("do", done), await resultsOf("site", played)];
    expect(one).toHaveLength(examples.length);
    expect(one).toEqual(other);
    expect(new Set(one.map(({ action }) => action)).size).toBeGreaterThan(25);
  });

  /** Actions that change what is in a directory, which the words name by `DIR`. */
  const REAL: readonly (readonly [action: string, words: readonly string[], task: string])[] = [
    ["copy", ["content=a  b", "dest=DIR/a", "mode=0640"], `{content: "a  b", dest: DIR/a, mode: "0640"}`],
    ["copy", ["content=a  b", "dest=DIR/a", "mode=0640"], `{content: "a  b", dest: DIR/a, mode: 0640}`],
    ["file", ["path=DIR/d/e", "state=directory"], "{path: DIR/d/e, state: directory}"],
    ["lineinfile", ["path=DIR/a", "line=x = {{ y }}"], `{path: DIR/a, line: "x = {{ y }}"}`],
    ["replace", ["path=DIR/a", "regexp=^x", "replace=z"], "{path: DIR/a, regexp: ^x, replace: z}"],
    ["template", ["src=t.j2", "dest=DIR/t"], "{src: t.j2, dest: DIR/t}"],
    ["stat", ["path=DIR/a"], "{path: DIR/a}"],
    ["command", ["ls", "chdir=DIR"], "ls chdir=DIR"],
    ["shell", ["ls | wc -l; exit 3", "chdir=DIR"], "ls | wc -l; exit 3 chdir=DIR"],
    ["debug", ["var=y"], "{var: y}"],
    ["ping", [], ""],
    ["include_role", ["name=two"], "{name: two}"],
  ];

  test("has the result that a playbook's task has: real ones, from the command line", async () => {
    const at = makeProject(scratch(), {
      "group_vars/all.yml": "y: 1 of {{ inventory_hostname }}\n",
      "templates/t.j2": "{{ y }}, {{ ansible_system }}\n",
      "roles/two/tasks/main.yml": "- debug: {msg: one}\n- debug: {msg: two}\n",
    });
    for (const name of ["done", "played"]) mkdirSync(at.path(name));
    const given: unknown[] = [];
    for (const [action, words] of REAL) {
      const { stdout, stderr } = await carryOut(
        at,
        ...[...LOCAL, "-D", "-o", "json", "web1", action],
        ...words.map((each) => each.replaceAll("DIR", at.path("done"))),
      );
      expect(stderr).toBe("");
      for (const line of stdout.trimEnd().split("\n")) {
        const {
          host,
          action: called,
          task,
          ...result
        } = JSON.parse(line) as Readonly<Record<string, unknown>>;
        expect(host).toBe("web1");
        given.push([called, comparable(result, at.path("done"))]);
      }
    }
    const tasks = REAL.map(
      ([action, , task]) =>
        `  - ${action}: ${task.replaceAll("DIR", at.path("played"))}\n    ignore_errors: true\n`,
    );
    at.write(
      "site.yml",
      `- hosts: all\n  tasks:\n${tasks.join("").replace(/(include_role.*)\n.*\n/, "$1\n")}`,
    );
    const played = await volleyHere(["run", ...LOCAL, "site.yml", "-D", "-o", "json", "--via", "direct"], {
      cwd: at.directory,
    });
    const ends = played.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
      .filter(({ type, name }) => type === "task:end" && name !== "Gathering Facts");
    const wanted = ends.map(({ action, result }) => {
      const { ignored: _ignored, ...own } = result as Readonly<Record<string, unknown>>;
      return [action, comparable(own, at.path("played"))];
    });
    expect(given).toEqual(wanted);
    expect(readFileSync(at.path("done/a"), "utf8")).toBe(readFileSync(at.path("played/a"), "utf8"));
    expect(readdirSync(at.path("done"))).toEqual(["a", "d", "t"]);
  });
});

describe("output", () => {
  test("is folded by hosts, failures last, and the total on standard error", async () => {
    const fleet = await startFleet({ count: 2 });
    const at = makeProject(scratch(), { "inventory.yaml": fleet.inventoryYaml() });
    writeFileSync(join(fleet.hosts[1]!.home, "odd"), "");
    const names = fleet.hosts.map(({ name }) => name);
    const env = { VOLLEY_INVENTORY: at.path("inventory.yaml"), LC_ALL: "C" };
    const reach = ["--known-hosts", fleet.knownHostsPath];
    const both = names.join(",");
    const same = await volleyHere(["do", ...reach, both, "shell", "echo a; echo b >&2"], {
      cwd: at.directory,
      env,
    });
    expect(same).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^-- \S+ . 2 hosts -+\na\n! b\n\n$/),
    });
    expect(same.stderr).toMatch(/2 hosts: 2 changed in /);
    const odd = await volleyHere(["do", ...reach, both, "shell", "test ! -e odd"], {
      cwd: at.directory,
      env,
    });
    expect(odd.code).toBe(2);
    expect(odd.stdout).toMatch(
      new RegExp(
        `^-- ${names[0]} -+\n\\(no output\\)\n\n-- ${names[1]} . exit 1 -+\nnon-zero return code\n\n$`,
      ),
    );
    const again = await volleyHere(["do", ...reach, "@failed", "debug", "var=inventory_hostname"], {
      cwd: at.directory,
      env,
    });
    expect(again.stdout).toContain(`inventory_hostname: ${names[1]}`);
    expect(again.stdout).not.toContain(names[0]!);
  });

  test("of a role has a line for each task; data comes with -v", async () => {
    const at = makeProject(scratch(), {
      "roles/two/tasks/main.yml": "- name: One\n  debug: {msg: '{{ ansible_system }}'}\n- command: 'true'\n",
    });
    const role = await here(at, "include_role", "name=two");
    expect(role.code).toBe(0);
    expect(role.stdout).toMatch(/unchanged {2}two : One {2}Linux\n.* changed {2}two : command\n/);
    const plain = await here(at, "file", `path=${at.path("x")}`, "state=touch");
    expect(plain.stdout).not.toContain("dest: ");
    expect((await here(at, "file", `path=${at.path("x")}`, "mode=0600", "-v")).stdout).toContain(
      `path: ${at.path("x")}\n`,
    );
  });
});

test("nothing is kept of the arguments", async () => {
  const at = makeProject(scratch(), {});
  const secret = "hunter2-of-the-arguments";
  await here(at, "shell", `echo ${secret}`);
  await here(at, "copy", `content=${secret}`, `dest=${at.path("made")}`, "-D");
  expect(readFileSync(at.path("made"), "utf8")).toBe(secret);
  const kept = readdirSync(scratch(), { recursive: true, encoding: "utf8" }).filter((name) => {
    try {
      return readFileSync(join(scratch(), name), "latin1").includes(secret);
    } catch {
      return false;
    }
  });
  expect(kept.map((name) => name.split("/").at(-1))).toEqual(["made"]);
  const { stdout } = await volleyHere(["runs", "-n", "2"], { cwd: at.directory });
  expect(stdout).toMatch(/-do {2}.* copy +1 host: 1 ok; tasks: 1 changed, 0 failed\n.* shell +1 host: 1 ok/);
  const attached = await volleyHere(["attach", /^\S+/.exec(stdout)![0]], { cwd: at.directory });
  expect(attached.code).toBe(0);
});

describe("refusals", () => {
  test.each([
    [["web1", "apt", "nmae=x"], 'apt has no parameter "nmae"; did you mean "name"? (it takes: name, '],
    [["web1", "aptt"], 'there is no action "aptt"; did you mean "apt"? (`volley do --list` lists them)'],
    [["web2", "ping"], 'no host or group is called "web2"; did you mean "web1"?'],
    [["web1"], "which action is to be done on web1? (write: volley do web apt name=nginx;"],
    [[], "which hosts? (write: volley do web apt name=nginx)"],
    [["web1", "ping", "--nope"], "error: unknown option '--nope'"],
    [["--list", "nonesuch"], 'no action is about "nonesuch" (volley do --list)'],
  ])("%j", async (words, message) => {
    const at = makeProject(scratch(), {});
    const end = await carryOut(at, ...LOCAL, ...words);
    expect(end).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining(message) });
  });

  test("say what is wrong in an inventory", async () => {
    const at = makeProject(scratch(), { "hosts.yaml": "all:\n  hosts:\n    a b: {}\n" });
    const end = await carryOut(at, "-i", "hosts.yaml", "all", "ping");
    expect(end).toMatchObject({
      ...{ code: 1, stdout: "" },
      stderr: 'volley: hosts.yaml:3:5: "a b" is not a host name: it holds a space\n',
    });
  });

  test("name the action's page in the help, and list actions", async () => {
    const at = makeProject(scratch(), {});
    expect((await carryOut(at, "web", "apt", "--help")).stdout).toContain(
      "volley doc apt shows the parameters",
    );
    const listed = await carryOut(at, "--list", "crontab");
    expect(listed.stdout).toMatch(/^ {2}cron /m);
    expect(listed.stdout).not.toMatch(/^ {2}copy /m);
  });
});

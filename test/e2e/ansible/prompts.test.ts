import { beforeAll, describe, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../lib/cli.ts";
import { volleyHere } from "../lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "../lib/project.ts";
import { openTerminal, tmuxAvailable } from "../lib/tmux.ts";

// vars_prompt. What plays get to see is what ansible-playbook 2.14 gives them.

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const project = (play: string, tasks: string): Project =>
  makeProject(scratch(), {
    "site.yml": `- gather_facts: false\n${play.replace(/^/gm, "  ")}\n  tasks:\n${tasks.replace(/^/gm, "    ")}\n`,
    "more.yml": "of_file: file\n",
  });

function run(at: Project, ...args: readonly string[]): Promise<CliEnd> {
  return volleyHere(["run", "site.yml", "-i", "here,there,", "-c", "local", ...args], {
    cwd: at.directory,
    env: { ANSIBLE_CONFIG: "" },
  });
}

const ALL = `hosts: all
vars: {a: play, word: blue, of_file: play}
vars_files: [more.yml]
vars_prompt:
  - {name: a, default: "{{ word }} {{ salute }}"}
  - {name: n, default: 5, private: no}
  - {name: blank, private: no}
  - {name: given, confirm: yes}
  - {name: raw, default: "{{ '{{' }} a }}", unsafe: yes}
  - {name: of_file, default: asked}`;

test("without a terminal nobody is asked: defaults hold, over the play's vars and below its files", async () => {
  const at = project(
    ALL,
    `- assert:
    that:
      - a == 'blue hi'
      - n == '5' and n is string
      - blank == 'None'
      - given == 'by option'
      - raw == '{' ~ '{ a }' ~ '}'
      - of_file == 'file'
- set_fact: {a: later}
- assert: {that: "a == 'later'"}`,
  );
  const end = await run(at, "-e", "salute=hi given='by option'");
  expect(end.stdout).toMatch(/^here +: ok=3 .*failed=0/m);
  expect(end.code).toBe(0);
  expect(end.stderr).toContain("nobody is asked for vars_prompt");
});

test("what is hashed must be given where nobody is asked; lists of hosts take the defaults", async () => {
  const at = project(
    `hosts: "{{ target }}"
vars_prompt:
  - {name: target, default: there}
  - {name: hash, encrypt: sha512_crypt, salt: abcdefgh, default: secret}
  - {name: other, encrypt: sha256_crypt, salt_size: 6, default: secret}`,
    `- assert:
    that:
      - hash is match('^[$]6[$](rounds=[0-9]+[$])?abcdefgh[$]')
      - other is match('^[$]5[$](rounds=[0-9]+[$])?[./0-9A-Za-z]{6}[$]')`,
  );
  const end = await run(at);
  expect(end.stdout).toMatch(/there +: ok=1 .*failed=0/);
  expect(end.stdout).not.toMatch(/^here +: ok/m);
  expect((await run(at, "--list-hosts")).stdout).toContain("hosts (1):\n      there");
  const lacking = project("hosts: all\nvars_prompt: {name: hash, encrypt: sha512_crypt}", "- debug:");
  expect(await run(lacking)).toMatchObject({ code: 1, stderr: expect.stringContaining("-e hash=") });
});

test("entries without a name, and unknown keys, are refused with their line", async () => {
  for (const [prompt, problem] of [
    ["[{prompt: x}]", "Invalid vars_prompt data structure, missing 'name' key"],
    ["[{name: a, foo: b}]", "vars_prompt: 'foo' is none of its keys"],
    ["[a]", "vars_prompt: each entry must be a dict"],
  ])
    expect(await run(project(`hosts: all\nvars_prompt: ${prompt}`, "- debug:"))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${problem}\n\nat site.yml:3:3`),
    });
});

describe.skipIf(!tmuxAvailable())("at a terminal", () => {
  async function open(at: Project) {
    const args = ["run", "site.yml", "-i", "here,there,", "-c", "local", "-o", "ansible"];
    return openTerminal([process.execPath, await builtCli(), ...args], {
      cwd: at.directory,
      columns: 110,
      rows: 40,
    });
  }

  test("each is asked for, twice where it is to be confirmed, and private ones stay so", async () => {
    const at = project(
      `hosts: "{{ target }}"
vars: {word: blue}
vars_prompt:
  - {name: target, prompt: "Where\\nto, {{ word }}", private: no}
  - {name: secret, prompt: Secret, confirm: yes}
  - {name: kept, prompt: Kept, default: as it was, private: no}
  - {name: hidden, default: hidden}`,
      `- debug: {msg: "<{{ secret }}> <{{ kept }}> <{{ hidden }}>"}
- assert: {that: "secret == 'top blue' and secret | length == 8"}`,
    );
    const terminal = await open(at);
    try {
      await terminal.see(/Where\nto, blue:$/m);
      terminal.type("here");
      terminal.press("Enter");
      await terminal.see(/^Secret: *$/m);
      terminal.type("top {{ word }}");
      terminal.press("Enter");
      await terminal.see(/^confirm Secret: *$/m);
      terminal.type("bottom");
      terminal.press("Enter");
      await terminal.see(/differ\.\nSecret: *$/m);
      terminal.type("top {{ word }}");
      terminal.press("Enter");
      await terminal.see(/confirm Secret: *\n[\s\S]*confirm Secret: *$/m);
      terminal.type("top {{ word }}");
      terminal.press("Enter");
      await terminal.see(/^Kept \[as it was\]: *$/m);
      terminal.press("Enter");
      await terminal.see(/^hidden \[hidden\]: *$/m);
      terminal.press("Enter");
      const end = await terminal.see("exit 0");
      expect(end).toContain("<as it was> <hidden>");
      expect(end).toMatch(/here +: ok=2/);
      expect(end).not.toMatch(/top \{\{|bottom|^there +: ok/m);
    } finally {
      await terminal.close();
    }
  });

  test("answers that are private are masked, and Ctrl-C ends the run before it begins", async () => {
    const at = project("hosts: here\nvars_prompt: {name: token}", '- debug: {msg: "<{{ token }}>"}');
    const terminal = await open(at);
    try {
      await terminal.see(/^token: *$/m);
      terminal.type("open-sesame");
      terminal.press("Enter");
      const end = await terminal.see("exit 0");
      expect(end).toContain("<********>");
      expect(end).not.toContain("sesame");
    } finally {
      await terminal.close();
    }
    const other = await open(at);
    try {
      await other.see(/^token: *$/m);
      other.press("C-c");
      expect(await other.see("exit 130")).not.toContain("PLAY");
    } finally {
      await other.close();
    }
  });
});

import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../lib/cli.ts";
import { volleyHere } from "../lib/here.ts";
import { makeProject, scratchDirectory } from "../lib/project.ts";

// ansible-playbook 2.14 keeps and finds the same facts, in files with the same bytes.

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const FILES = {
  "ansible.cfg": `[defaults]
gathering = smart
fact_caching = jsonfile
fact_caching_connection = facts/kept
fact_caching_prefix = of-
fact_caching_timeout = 3600
`,
  "hosts.yml": "all: {vars: {ansible_connection: local}, hosts: {a: , b: }}\n",
  "keep.yml": `- hosts: a
  gather_facts: false
  tasks:
    - set_fact: {color: red, whole: 2.0, text: !unsafe "{{ no }}", cacheable: true}
    - set_fact: {passing: 1}
    - set_fact: {color: of b, cacheable: true}
      delegate_to: b
      delegate_facts: true
- hosts: a
  gather_facts: false
  vars: {color: play}
  tasks:
    - assert: {that: [color == 'red', ansible_facts.color == 'red']}
`,
  "find.yml": `- hosts: a
  gather_facts: false
  vars: {color: play}
  tasks:
    - assert:
        that:
          - color == 'play' and ansible_facts.color == 'red'
          - text is search('no') and whole is float
          - passing is undefined
          - hostvars.b.color == 'of b'
`,
  "clear.yml": `- hosts: a
  gather_facts: false
  tasks:
    - meta: clear_facts
    - assert: {that: color is undefined and hostvars.b.color is defined}
`,
  "gone.yml": `- hosts: all
  gather_facts: false
  tasks:
    - assert: {that: "color is undefined and 'color' not in ansible_facts"}
`,
  "gather.yml": `- hosts: a
  tasks:
    - assert: {that: ansible_os_family is defined}
`,
};

test("facts are kept in a file for each host, found by later runs, and forgotten", async () => {
  const { directory } = makeProject(scratch(), FILES);
  const run = (...words: readonly string[]): Promise<CliEnd> =>
    volleyHere(["run", "-i", "hosts.yml", "--output", "ansible", ...words], {
      cwd: directory,
      env: { ANSIBLE_CONFIG: "ansible.cfg" },
    });
  const kept = join(directory, "facts/kept");
  expect(await run("keep.yml")).toMatchObject({ code: 0, stderr: "" });
  expect(readdirSync(kept).sort()).toEqual(["of-a", "of-b"]);
  expect(readFileSync(join(kept, "of-a"), "utf8")).toBe(
    '{\n    "color": "red",\n    "text": "{{ no }}",\n    "whole": 2.0\n}',
  );
  expect(await run("find.yml")).toMatchObject({ code: 0 });
  expect(await run("clear.yml")).toMatchObject({ code: 0 });
  expect(readdirSync(kept)).toEqual(["of-b"]);

  await run("keep.yml");
  const old = Date.now() / 1000 - 3700;
  for (const name of ["of-a", "of-b"]) utimesSync(join(kept, name), old, old);
  expect(await run("gone.yml")).toMatchObject({ code: 0 });
  writeFileSync(join(kept, "of-a"), '{"color": "r');
  expect(await run("gone.yml")).toMatchObject({ code: 0 });
  await run("keep.yml");
  expect(await run("--flush-cache", "gone.yml")).toMatchObject({ code: 0 });
  expect(readdirSync(kept)).toEqual([]);

  // With smart gathering, a host whose facts are known is not asked again.
  expect((await run("gather.yml")).stdout).toContain("TASK [Gathering Facts]");
  expect(existsSync(join(kept, "of-a"))).toBe(true);
  const again = await run("gather.yml");
  expect(again).toMatchObject({ code: 0 });
  expect(again.stdout).not.toContain("TASK [Gathering Facts]");
  // Facts of set_fact alone do not count for that.
  await run("--flush-cache", "keep.yml");
  expect((await run("gather.yml")).stdout).toContain("TASK [Gathering Facts]");
}, 300_000);

test("a cache without a place is refused, and one of another kind is named", async () => {
  const { directory } = makeProject(scratch(), {
    ...FILES,
    "ansible.cfg": "[defaults]\nfact_caching = jsonfile\n",
  });
  const run = (plugin: string): Promise<CliEnd> =>
    volleyHere(["run", "-i", "hosts.yml", "gone.yml"], {
      cwd: directory,
      env: { ANSIBLE_CACHE_PLUGIN: plugin },
    });
  const refused = await run("jsonfile");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("the fact cache jsonfile has no directory");
  const other = await run("redis");
  expect(other).toMatchObject({ code: 0 });
  expect(other.stderr).toContain("not heeded here: fact_caching (redis; ANSIBLE_CACHE_PLUGIN)");
  expect((await run("memory")).stderr).not.toContain("not heeded");
});

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd } from "./lib/cli.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "./lib/project.ts";

// Plays in TypeScript with roles in YAML, and the other way round.

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const FILES = {
  "roles/ntp/meta/main.yml": "dependencies: [base]\n",
  "roles/ntp/defaults/main.yml": "ntp_server: default.example\nntp_pool: [a, b]\n",
  "roles/ntp/tasks/main.yml": `- name: Configure
  template: {src: ntp.j2, dest: "{{ ntp_file }}"}
  notify: restart ntp
  tags: conf
- name: Count
  command: wc -l {{ ntp_file }}
  changed_when: false
  register: counted
- set_fact: ntp_lines="{{ counted.stdout.split() | first }}"
`,
  "roles/ntp/handlers/main.yml": `- name: restart ntp
  command: "echo restarted"
- name: tell
  command: "echo told"
  listen: ntp changed
`,
  "roles/ntp/templates/ntp.j2":
    "server {{ ntp_server }} for {{ inventory_hostname }}, {{ ntp_pool | join('+') }}",
  "roles/base/tasks/main.yml": "- name: Prepare\n  debug: msg=prepared\n",
  "roles/motd/role.ts": `import * as v from "valibot";
import { command, copy, defineRole, template } from "volley";
export default defineRole({
  name: "motd",
  vars: v.object({ file: v.string(), text: v.string(), lines: v.optional(v.number(), 1) }),
  handlers: { reload: command(["echo", "reloaded"]) },
  async tasks({ task, vars, facts }) {
    const greeting = await task("Greet", template({ src: "motd.j2", dest: vars.file }), { notify: "reload", tags: "greet" });
    task("Count the lines", copy({ content: \`\${vars.lines + 1} \${facts.kernel !== ""}\\n\`, dest: \`\${vars.file}.lines\` }), {
      when: () => greeting.changed,
    });
  },
});
`,
  "roles/motd/templates/motd.j2":
    "{{ text }}, {{ by_yaml | default('alone') }} in {{ role_name }} on {{ ansible_system }}\n",
};

const project = (files: Readonly<Record<string, string>>): Project =>
  makeProject(scratch(), { ...FILES, ...files });

function run(at: Project, ...args: readonly string[]): Promise<CliEnd> {
  return volleyHere(
    ["run", ...args, "-i", "web1,", "-c", "local", "-o", "plain", "-v", "-e", `at=${at.directory}`],
    {
      cwd: at.directory,
      env: { ANSIBLE_CONFIG: "" },
    },
  );
}

/** `state task`, as the tasks ended. */
const ended = ({ stdout }: CliEnd): readonly string[] =>
  [
    ...stdout.matchAll(
      /^web1 {2}(unchanged|changed|unknown|skipped|failed|ignored|rescued|info|warning) +(?!in )(\S.*?)(?: {2}.*)?$/gm,
    ),
  ].map(([, state, task]) => `${state} ${task}`);

const TYPESCRIPT = `import { ansibleRole, command, definePlaybook } from "volley";
export default definePlaybook([{
  name: "Mixed",
  hosts: "all",
  vars: { from_play: "play" },
  handlers: { own: command(["echo", "own"]) },
  roles: [ansibleRole("ntp", { vars: { ntp_server: "{{ from_play }}.example", ntp_file: "{{ at }}/one" }, tags: "clock" })],
  tasks: async ({ task, include, log, host }) => {
    task("Before", command(["true"]), { notify: ["ntp:restart ntp", "ntp:ntp changed"] });
    const again = await include(
      ansibleRole("ntp", { vars: { ntp_file: \`\${host.vars.at}/two\` }, when: () => host.name === "web1" }),
    );
    log(\`changed \${again.changed}, \${again.data.ntp_lines} lines\`);
    const never = await include(ansibleRole("base", { when: false }));
    log(\`skipped \${never.skipped}\`);
    try {
      await include(ansibleRole("ntp", { vars: { ntp_file: "/nowhere/at/all" } }));
    } catch {
      log("caught");
    }
    task("Behind", command(["true"]), { changedWhen: false });
  },
}]);
`;

test("a play in TypeScript has roles in YAML: their vars, handlers and results", async () => {
  const at = project({ "site.ts": TYPESCRIPT });
  const end = await run(at, "site.ts");
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect(ended(end)).toEqual([
    "unchanged base : Prepare",
    "changed ntp : Configure",
    "unchanged ntp : Count",
    "unchanged ntp : set_fact",
    "changed Mixed : Before",
    "changed ntp : Configure",
    "unchanged ntp : Count",
    "unchanged ntp : set_fact",
    "info changed true, 0 lines",
    "info skipped true",
    "failed ntp : Configure",
    "info caught",
    "unchanged Mixed : Behind",
    "rescued ntp : Configure",
    "changed ntp : restart ntp (handler)",
    "changed ntp : tell (handler)",
  ]);
  expect(readFileSync(at.path("one"), "utf8")).toBe("server play.example for web1, a+b");
  expect(readFileSync(at.path("two"), "utf8")).toBe("server default.example for web1, a+b");
});

test("its tasks are listed and chosen by tags; check mode knows them", async () => {
  const at = project({ "site.ts": TYPESCRIPT });
  const listed = await volleyHere(["run", "site.ts", "-i", "web1,", "--list-tasks"], { cwd: at.directory });
  expect(listed.stdout).toContain("ntp : Configure\tTAGS: [clock, conf]\n");
  expect(listed.stdout).toContain("Before\tTAGS: []\n");
  expect(ended(await run(at, "site.ts", "--tags", "clock", "--check"))).toEqual([
    "unchanged base : Prepare",
    "changed ntp : Configure",
    "unknown ntp : Count",
    "failed ntp : set_fact",
  ]);
  expect(
    ended(await run(at, "site.ts", "--tags", "clock", "--skip-tags", "conf", "--via", "direct"))[1],
  ).toBe("failed ntp : Count");
});

test("a run that goes on does not repeat what roles in YAML have done, and runs their handlers", async () => {
  const at = project({
    "site.ts": `import { ansibleRole, command, definePlaybook } from "volley";
export default definePlaybook([{
  hosts: "all",
  roles: [ansibleRole("ntp", { vars: { ntp_file: "{{ at }}/one" } })],
  tasks: async ({ task, include, host }) => {
    task("Wait for it", command(["test", "-e", \`\${host.vars.at}/there\`]), { changedWhen: false });
    const again = await include(ansibleRole("base"));
    task(\`Behind \${again.data.ntp_lines}\`, command(["true"]), { changedWhen: false });
  },
}]);
`,
  });
  const first = await run(at, "site.ts");
  expect(first.code).toBe(2);
  expect(ended(first).at(-1)).toBe("failed all : Wait for it");
  at.write("there", "");
  at.write("one", "as it was left");
  expect(ended(await run(at, "site.ts", "--resume"))).toEqual([
    "unchanged base : Prepare",
    "changed ntp : Configure",
    "unchanged ntp : Count",
    "unchanged ntp : set_fact",
    "unchanged all : Wait for it",
    "unchanged base : Prepare",
    "unchanged all : Behind 0",
    "changed ntp : restart ntp (handler)",
  ]);
  expect(readFileSync(at.path("one"), "utf8")).toBe("as it was left");
});

test("the build says which role is missing, and which is in TypeScript", async () => {
  const at = project({
    "missing.ts": `import { ansibleRole, definePlaybook } from "volley";
export default definePlaybook([{ hosts: "all", roles: ["none"].map((name) => ansibleRole(name)) }]);\n`,
    "script.ts": `import { ansibleRole, definePlaybook } from "volley";
export default definePlaybook([{ hosts: "all", roles: [ansibleRole("motd")] }]);\n`,
  });
  expect((await run(at, "missing.ts")).stderr).toContain(
    `the role 'none' was not found in ${join(at.directory, "roles")}:`,
  );
  expect((await run(at, "script.ts")).stderr).toContain('import it: import role from "./roles/motd/role.ts"');
});

const YAML = `- hosts: all
  vars: {file: "{{ at }}/motd"}
  pre_tasks:
    - set_fact: by_yaml="with {{ inventory_hostname }}"
  roles:
    - {role: motd, text: "Hello from {{ inventory_hostname }}", lines: "{{ 1 + 1 }}", tags: m, when: "'web1' in groups.all"}
  tasks:
    - name: Notify
      command: "true"
      notify: "motd:reload"
      tags: m
  handlers:
    - name: In YAML
      command: echo yaml
`;

test("a play in YAML has roles in TypeScript: its vars are the role's, checked", async () => {
  const at = project({ "site.yml": YAML });
  const end = await run(at, "site.yml");
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect(ended(end)).toEqual([
    "unchanged all : Gathering Facts",
    "unchanged all : set_fact",
    "changed motd : Greet",
    "changed motd : Count the lines",
    "changed all : Notify",
    "changed motd : reload (handler)",
  ]);
  expect(readFileSync(at.path("motd"), "utf8")).toBe("Hello from web1, with web1 in motd on Linux\n");
  expect(readFileSync(at.path("motd.lines"), "utf8")).toBe("3 true\n");
  expect(ended(await run(at, "site.yml", "--via", "direct"))).toContain("unchanged motd : Greet");
  expect(ended(await run(at, "site.yml", "--tags", "greet"))).toEqual([
    "unchanged all : Gathering Facts",
    "changed motd : Greet",
    "changed motd : reload (handler)",
  ]);
});

test("a role in TypeScript that fails is rescued by the block around it, in includes and imports", async () => {
  const at = project({
    "site.yml": `- hosts: all
  gather_facts: false
  tasks:
    - block:
        - import_role: {name: motd}
          vars: {text: a, file: /nowhere/at/all}
      rescue:
        - name: "Saved from {{ ansible_failed_task.name }}: {{ ansible_failed_result.msg is search('does not exist') }}"
          debug:
    - include_role: {name: motd, apply: {ignore_errors: true}}
      vars: {text: b, file: /nowhere/either}
    - include_role: {name: motd}
      vars: {text: c, file: "{{ at }}/{{ item }}"}
      loop: [x, y]
    - include_role: {name: motd}
      when: false
`,
  });
  const end = await run(at, "site.yml");
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect(ended(end)).toEqual([
    "failed motd : Greet",
    "rescued motd : Greet",
    "unchanged all : Saved from Greet: True",
    "unchanged all : include_role",
    "ignored motd : Greet",
    "skipped motd : Count the lines",
    "unchanged all : include_role",
    "changed motd : Greet",
    "changed motd : Count the lines",
    "changed motd : Greet",
    "changed motd : Count the lines",
    "skipped all : include_role",
    "changed motd : reload (handler)",
    "changed motd : reload (handler)",
  ]);
  expect(readFileSync(at.path("y"), "utf8")).toBe("c, alone in motd on Linux\n");
});

test("vars that do not fit, parameters that it has not, and keywords that mean nothing to it are refused", async () => {
  const fail = async (role: string): Promise<string> => {
    const at = project({ "site.yml": `- hosts: all\n  gather_facts: false\n  roles:\n    - ${role}\n` });
    const end = await run(at, "site.yml");
    expect(end.code).toBe(2);
    return end.stdout;
  };
  expect(await fail("{role: motd, file: /x, text: [1]}")).toContain(
    'role "motd" on web1: var "text": Invalid type: Expected string but received Array',
  );
  expect(await fail("{role: motd, file: /x}")).toContain('var "text" is missing');
  expect(await fail("{role: motd, file: /x, text: x, line: 3}")).toContain('role "motd" has no var "line"');
  expect(await fail("{role: motd, file: /x, text: x, delegate_to: localhost}")).toContain(
    "delegate_to is not for motd, which is a role in TypeScript",
  );
});

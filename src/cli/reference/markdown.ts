import type { ActionDescription } from "../../actions/define.ts";
import { filters } from "../../template/filters/index.ts";
import { globals } from "../../template/lookups.ts";
import { tests } from "../../template/tests.ts";
import { actions, summaryOf } from "./actions.ts";
import { factTexts } from "./facts.ts";
import { callText } from "./literal.ts";
import { constraintsOf, type Parameter, parametersOf } from "./schema.ts";
import { sshConfigParts } from "./ssh-config.ts";
import {
  type Entry,
  handleProperties,
  playKeys,
  roleKeys,
  roleUseOptions,
  taskOptions,
  tasksContext,
} from "./words.ts";

const EXAMPLE_COLUMNS = 100;

const INTRODUCTION = `# Reference

<!-- Made by \`npm run docs\` from the definitions in src/; do not edit. -->

Everything playbooks and roles can say. \`volley doc ACTION\` shows an action's part of it in a terminal.

- [Tasks](#tasks)
- [Plays](#plays)
- [Roles](#roles)
- [Actions](#actions)
- [Facts](#facts)
- [Templates](#templates)
- [ssh_config](#ssh_config)`;

const TASKS = `## Tasks

\`task(name, action, options)\` declares a task and returns a handle.

\`\`\`ts
const site = task("Configure the site", template({ src: "site.conf.j2", dest: "/etc/nginx/conf.d/site.conf" }), {
  notify: "reload",
  when: () => facts.os_family === "Debian",
});
task("Check the configuration", command(["nginx", "-t"]), { when: () => site.changed, changedWhen: false });
task("Add the users", (name) => user({ name, groups: ["deploy"], append: true }), { loop: ["ada", "grace"] });
\`\`\`

Instead of an action a function may be given, which is asked for it when the task's turn comes: it may read what
earlier tasks found out. A task that fails ends the role, and the host runs no further tasks, unless \`ignoreErrors\`.`;

const HANDLES = `### Handles

A handle's properties can be read in a later task's \`when\`. Awaiting it waits for the task's turn and gives its result:
\`const { stdout } = (await version).data\`. Awaiting a task that fails ends the role.`;

const PLAYS = `## Plays

A playbook is a file whose default export is \`definePlaybook([…])\`: plays, in order. A play maps hosts to roles. All hosts
end a play before any begins the next, unless its strategy is \`free\`.

\`\`\`ts
export default definePlaybook([
  { name: "Every host", hosts: "all", roles: [base()] },
  { name: "Web tier", hosts: "web", become: true, roles: [web({ workers: 4 }, { tags: "web" })] },
]);
\`\`\``;

const ROLES = `## Roles

A role is a function that declares tasks, with its handlers and assets. Its assets lie beside the file that calls
\`defineRole\`: what \`copy\` reads in \`files/\`, templates in \`templates/\`.

\`\`\`ts
export default defineRole({
  name: "web",
  vars: v.object({ domain: v.string(), workers: v.optional(v.number(), 2) }),
  handlers: { reload: service({ name: "nginx", state: "reloaded" }) },
  tasks({ task, vars, facts }) {
    task("Install nginx", apt({ name: "nginx" }));
  },
});
\`\`\``;

const ACTIONS = `## Actions

Parameters have the names and, unless said otherwise, the meaning they have in the Ansible module of the same name.
Permission bits are \`0o644\` or \`"0644"\`. A wrong parameter is a type error in
the editor; \`volley check\` and every run find it before any host is touched, as far as roles declare their tasks without
asking the host anything.`;

const FACTS = `## Facts

What is known of a host before its tasks run: \`facts.NAME\` in roles, \`ansible_NAME\` and \`ansible_facts.NAME\` in templates,
under the names Ansible's \`setup\` gives.`;

const TEMPLATES = `## Templates

Templates behave as Jinja2 does in Ansible. Beside the filters and tests below they have Python's methods of strings,
lists and dicts, and these functions:`;

/** REFERENCE.md: everything playbooks can say, from the definitions themselves. */
export function referenceMarkdown(): string {
  const parts = [
    INTRODUCTION,
    TASKS,
    "### Options",
    entryTable("Option", taskOptions),
    HANDLES,
    entryTable("Property", handleProperties),
    PLAYS,
    entryTable("Key", playKeys),
    "The options of a role within a play, its second argument:",
    entryTable("Option", roleUseOptions),
    ROLES,
    entryTable("Key", roleKeys),
    "What `tasks` gets; `handlers` and a role's `when` get the same, up to `check`:",
    entryTable("Name", tasksContext),
    ACTIONS,
    table(
      ["Action", "Summary"],
      [...actions.values()].map(({ name, doc }) => [`[\`${name}\`](#${name})`, summaryOf(doc)]),
    ),
    ...[...actions.values()].flatMap(actionParts),
    FACTS,
    table(
      ["Fact", "Description"],
      Object.entries(factTexts).map(([name, text]) => [code(name), text]),
    ),
    TEMPLATES,
    nameList(Object.keys(globals())),
    "### Filters",
    nameList(Object.keys(filters)),
    "### Tests",
    nameList(Object.keys(tests)),
    ...sshConfigParts(),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function actionParts({ name, doc, params, examples }: ActionDescription): readonly string[] {
  const parameters = parametersOf(params);
  const calls = examples.map((example) => `${callText(name, example, EXAMPLE_COLUMNS)};`);
  return [
    `### ${name}`,
    doc.trim(),
    parameters.length === 0
      ? "It has no parameters."
      : table(["Parameter", "Type", "Default", "Description"], parameters.map(parameterRow)),
    constraintsOf(params)
      .map((text) => `- ${text}`)
      .join("\n"),
    calls.length === 0 ? "" : `\`\`\`ts\n${calls.join("\n")}\n\`\`\``,
  ];
}

function parameterRow({ name, type, required, initial, description }: Parameter): readonly string[] {
  return [
    code(name),
    code(type),
    required ? "*required*" : initial === undefined ? "" : code(initial),
    description,
  ];
}

function entryTable(title: string, entries: Readonly<Record<string, Entry>>): string {
  const rows = Object.entries(entries).map(([name, { type, text, required = false }]) => [
    code(name),
    code(type),
    required ? `*Required.* ${text}` : text,
  ]);
  return table([title, "Type", "Description"], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
  return [line(head), `|${" --- |".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}

function nameList(names: readonly string[]): string {
  return names.toSorted().map(code).join(", ");
}

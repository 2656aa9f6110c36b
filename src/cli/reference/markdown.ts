import type { ActionDescription } from "../../actions/define.ts";
import { RULES } from "../../lint/finding.ts";
import { filters } from "../../template/filters/index.ts";
import { globals } from "../../template/lookups.ts";
import { moreNames } from "../../template/more/index.ts";
import { tests } from "../../template/tests.ts";
import { OPTIONS, type OptionRow } from "../../transport/ssh-config/option-table.ts";
import { actions, callText, constraintsOf, type Parameter, parametersOf, summaryOf } from "./actions.ts";
import {
  type Entry,
  factTexts,
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

All that playbooks and roles can contain. \`volley doc ACTION\` shows an action's part in a terminal.

- [Tasks](#tasks)
- [Plays](#plays)
- [Roles](#roles)
- [Actions](#actions)
- [Facts](#facts)
- [Templates](#templates)
- [ssh_config](#ssh_config)
- [Lint](#lint)`;

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

Instead of an action, \`task\` also takes a function that returns one. It is called when the task's turn comes, and may read
the results of earlier tasks. A task that fails ends the role, and the host runs no further tasks, unless \`ignoreErrors\`.`;

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

Facts about a host, gathered before its tasks run: \`facts.NAME\` in roles, \`ansible_NAME\` and \`ansible_facts.NAME\` in
templates, under the names of Ansible's \`setup\`.`;

const TEMPLATES = `## Templates

Templates behave as Jinja2 does in Ansible. Beside the filters and tests below they have Python's methods of strings,
lists and dicts, and these functions:`;

const LINT = `## Lint

\`volley lint\` looks at playbooks and roles by these rules:`;

const LINT_JSON = `\`volley lint --json\` prints an object: \`version\`, 1; \`findings\`, by file, line and column; and \`summary\` with the numbers
of \`files\`, \`errors\`, \`warnings\` and \`hints\`. A finding has \`rule\`, \`severity\` (\`error\`, \`warning\` or \`hint\`), \`file\`
(relative to the working directory, or absolute outside of it), \`message\`, and \`line\`, \`column\` and \`hint\` where there are
any; lines and columns count from 1. A field once there keeps its meaning.`;

/** Write REFERENCE.md from the definitions. */
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
    "The context of `tasks`; `handlers` and a role's `when` get the same, up to `check`:",
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
    nameList([...Object.keys(filters), ...moreNames().filters]),
    "### Tests",
    nameList([...Object.keys(tests), ...moreNames().tests]),
    ...sshConfigParts(),
    LINT,
    table(
      ["Rule", "Finds"],
      Object.entries(RULES).map(([rule, text]) => [code(rule), text]),
    ),
    LINT_JSON,
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

const SSH_CONFIG = `## ssh_config

\`~/.ssh/config\` and \`/etc/ssh/ssh_config\` are read as OpenSSH 9.2 reads them, line by line: quotes, \`Include\`, \`Host\`,
\`Match\` (also \`exec\`, which is run), tokens and \`\${NAME}\`. A line that \`ssh\` would refuse is refused, with its file and
number. Every option is one of three kinds.`;

const DIFFERENCES = `### Where Volley differs from ssh

- The home is \`$HOME\`, where it is set; \`ssh\` looks it up among the accounts.
- A file that its group can write is refused; Debian's \`ssh\` takes it where the group is the user's own.
- A \`ProxyJump\` that holds for the host to jump through as well is no loop: that host is reached directly.
- \`Match exec\` in an included file is not run where the line that includes it does not hold, and a command that has been
  run with the same words is not run again.
- Options, criteria and names of algorithms of newer releases are read, such as \`Tag\`, \`Match tagged\`, \`Match localnetwork\`; hosts whose options hang on
  \`Match version\`, \`sessiontype\` or \`command\` are left to \`ssh\`.
- \`ProxyJump none\` keeps out a later \`ProxyJump\`, not a later \`ProxyCommand\`, as in Debian's \`ssh\`.
- A list of algorithms that leaves none is refused; \`ssh\` says so, and goes on.
- \`SendEnv\` sends no variables that say a language: what a run does must not hang on who starts it.
- \`StrictHostKeyChecking no\` adds no keys. As with \`ssh\`, a host whose key has changed gets no password; with an agent to
  forward it is refused.
- A key that is listed as \`@revoked\` without the port is refused on other ports, too.`;

/** Describe how each option of ssh_config is treated, from the table that decides it. */
export function sshConfigParts(): readonly string[] {
  const rows = Object.entries(OPTIONS).sort(([one], [other]) =>
    one.toLowerCase() < other.toLowerCase() ? -1 : 1,
  );
  const named = (by: OptionRow["by"]): readonly (readonly [string, OptionRow])[] =>
    rows.filter(([name, row]) => row.by === by && /^[A-Z]/.test(name));
  const names = (some: readonly (readonly [string, OptionRow])[]): string =>
    some.map(([name]) => `\`${name}\``).join(", ");
  const needed = named("openssh");
  return [
    SSH_CONFIG,
    "### Followed, however a host is reached",
    names(named("ssh2")),
    "### Left to OpenSSH's `ssh`",
    "A host for which one of these asks for something is reached by `ssh` itself, and the run says so. With `--transport ssh2` the host is refused for the first of them, and for the others the run says what is not followed.",
    `${names(needed.filter(([, { must }]) => must === true))}; lists of algorithms that leave ssh2 nothing`,
    `${names(needed.filter(([, { must }]) => must !== true))}; keys with a certificate beside them, keys of security devices, hosts that only a \`@cert-authority\` line knows`,
    "### Nothing to do",
    [
      "| Option | Why |\n| --- | --- |",
      ...named("nothing").map(([name, { why }]) => `| \`${name}\` | ${why} |`),
    ].join("\n"),
    DIFFERENCES,
  ];
}

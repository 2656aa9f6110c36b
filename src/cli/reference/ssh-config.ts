import { OPTIONS, type OptionRow } from "../../transport/ssh-config/option-table.ts";

const INTRODUCTION = `## ssh_config

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

/** How each option of ssh_config is treated, from the table that decides it. */
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
    INTRODUCTION,
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

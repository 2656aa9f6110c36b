import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { builtCli } from "../../e2e/lib/cli.ts";
import { scratchDirectory } from "../../e2e/lib/project.ts";
import { openTerminal, type Terminal, tmuxAvailable } from "../../e2e/lib/tmux.ts";

const scratch = scratchDirectory();
const inTmux = tmuxAvailable();

/** Starts a shell with the completion of its own script; `fish` reads the script when it first completes volley. */
const SHELLS: Readonly<Record<string, (directory: string) => readonly string[]>> = {
  bash: (directory) => {
    writeFileSync(join(directory, "rc"), "PS1='> '\nsource <(volley completion bash)\n");
    return ["bash", "--rcfile", join(directory, "rc"), "-i"];
  },
  zsh: (directory) => {
    writeFileSync(
      join(directory, ".zshrc"),
      "PS1='> '\nautoload -Uz compinit\ncompinit -u -D\nsource <(volley completion zsh)\n",
    );
    return ["zsh", "-i"];
  },
  fish: (directory) => {
    mkdirSync(join(directory, "fish/completions"), { recursive: true });
    writeFileSync(
      join(directory, "fish/config.fish"),
      "function fish_prompt; echo -n '> '; end\nset -U fish_greeting\n",
    );
    return ["sh", "-c", "volley completion fish > fish/completions/volley.fish && exec fish --private"];
  },
};

const INVENTORY = `
web:
  hosts:
    web[1:2].example.org:
production:
  hosts:
    web1.example.org:
    db1:
`;
const PLAYBOOK = `
- hosts: all
  tasks:
    - { debug: { msg: hi }, tags: [deploy, "it's $5", 'say "hi"'] }
`;

/** Words of a line, with a Tab at the end of the last, and the words that volley gets. */
const CASES: readonly (readonly [typed: string, got: readonly string[]])[] = [
  ["exec 'web:&prod", ["exec", "web:&production"]],
  ["exec web:\\!db", ["exec", "web:!db1"]],
  ["run --limit=web,db", ["run", "--limit=web,db1"]],
  ["run site.yml -t first,it", ["run", "site.yml", "-t", "first,it's $5"]],
  ['run site.yml -t "say', ["run", "site.yml", "-t", 'say "hi"']],
  ["check --inventory=my\\ inv", ["check", "--inventory=my inventory.yaml"]],
  ["role to-ts -o emp", ["role", "to-ts", "-o", "empty"]],
  ["exec -i odd.yaml we", ["exec", "-i", "odd.yaml", "we"]],
  ["exec -i program.sh clo", ["exec", "-i", "program.sh", "clouds"]],
];

const isThere = (shell: string): boolean =>
  inTmux && ["/bin", "/usr/bin"].some((place) => existsSync(join(place, shell)));
for (const shell of Object.keys(SHELLS).filter((each) => !isThere(each)))
  console.warn(`Completion in ${shell} is not tested: it is not installed (run .ci/install)`);

const terminals: Terminal[] = [];
afterAll(() => Promise.all(terminals.map((terminal) => terminal.close())));

async function openShell(
  shell: string,
): Promise<{ readonly directory: string; readonly terminal: Terminal }> {
  const directory = join(scratch(), shell);
  for (const name of ["bin", "empty", "volley/runs"]) mkdirSync(join(directory, name), { recursive: true });
  const files: Readonly<Record<string, string>> = {
    "inventory.yaml": INVENTORY,
    "my inventory.yaml": INVENTORY,
    "odd.yaml": "[",
    "site.yml": PLAYBOOK,
    "program.sh": '#!/bin/sh\necho \'{"clouds":{"hosts":["c1"]},"_meta":{}}\'\n',
    // Tells what it gets, but for what completion asks.
    "bin/volley": `#!/bin/sh
case $1 in __complete|completion|ls) exec ${process.execPath} ${await builtCli()} "$@";; esac
printf '%s:' "$N"
printf '<%s>' "$@"
echo .
`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  for (const name of ["bin/volley", "program.sh"]) chmodSync(join(directory, name), 0o755);
  const terminal = openTerminal(SHELLS[shell]!(directory), {
    columns: 100,
    rows: 50,
    cwd: directory,
    env: {
      PATH: `${directory}/bin:${process.env.PATH}`,
      ZDOTDIR: directory,
      XDG_CONFIG_HOME: directory,
      XDG_STATE_HOME: directory,
      XDG_CACHE_HOME: directory,
      VOLLEY_INVENTORY: "inventory.yaml",
    },
  });
  terminals.push(terminal);
  await terminal.see(/^>/m);
  return { directory, terminal };
}

test.concurrent("code that never comes back keeps no shell waiting", async () => {
  const inventory = join(scratch(), "stuck.ts");
  writeFileSync(
    inventory,
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);\nexport default {};\n",
  );
  const words = ["__complete", "zsh", "--", "exec", "-i", inventory, ""];
  const child = spawn(process.execPath, [await builtCli(), ...words], { stdio: "ignore" });
  // On a slow machine the time is up before the code is reached, and the command ends by itself.
  expect([
    [null, "SIGKILL"],
    [0, null],
  ]).toContainEqual(await once(child, "exit"));
});

test.concurrent.each(Object.keys(SHELLS))("in %s", async (shell) => {
  if (!isThere(shell)) return;
  const { terminal } = await openShell(shell);
  // The names of a program are known once a command has read them.
  terminal.type("volley ls -i program.sh");
  terminal.press("Enter");
  await terminal.see(/1 host in 1 group/);
  terminal.press("C-u", "C-l");
  for (const [index, [typed, got]] of CASES.entries()) {
    terminal.type(`N=${index} volley ${typed}`);
    terminal.press("Tab", "Enter");
    const wanted = `${index}:${got.map((word) => `<${word}>`).join("")}.`;
    // Whether a directory keeps its slash is the shell's own affair.
    await terminal.see((screen) => screen.replaceAll("/>", ">").includes(wanted));
    terminal.press("C-u", "C-l");
  }
  terminal.type("volley exec ");
  terminal.press("Tab", "Tab");
  const screen = await terminal.see(/web2\.example\.org/);
  expect(screen).toMatch(/production/);
  expect(screen).not.toMatch(/error|volley:/i);
});

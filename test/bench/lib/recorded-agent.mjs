import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const volley = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

/** The eighth word of `podman exec -i -u USER NAME /bin/sh -c SCRIPT` is the script. */
const SCRIPT = '"$8"';
const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * Make a program in the place of podman that answers for any number of hosts as an agent of this machine did: a host costs
 * two processes of sh, as a container does, and no work. `directory` has `site.ts`; the inventory is written there.
 */
export function recordAgent(directory, env) {
  const program = join(directory, "agent");
  const said = join(directory, "said");
  const home = join(directory, "home");
  mkdirSync(home);
  const look = `printf 'volley-is-in\\nroot\\n%s\\n/bin/sh\\n' ${quote(home)}`;
  const writeProgram = (answer) =>
    writeFileSync(
      program,
      `#!/bin/sh\ncase ${SCRIPT} in\n*volley-is-in*) ${look} ;;\n*) ${answer} ;;\nesac\n`,
      { mode: 0o755 },
    );
  writeProgram(`/bin/sh -c ${SCRIPT} | tee ${quote(said)}`);
  writeInventory(directory, 1);
  const args = [
    "run",
    "-i",
    join(directory, "inventory.yaml"),
    "--output",
    "json",
    join(directory, "site.ts"),
  ];
  // The first run brings the bundle, and the third finds nothing to change: it is the one that is kept.
  for (let run = 1; run <= 3; run++) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [volley, ...args], {
      cwd: directory,
      env,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`the agent could not be recorded: ${stdout}${stderr}`);
  }
  const text = readFileSync(said, "utf8");
  const hello = text.slice(0, text.indexOf("\n") + 1);
  // The agent greets before it reads its job.
  writeProgram(`printf %s ${quote(hello)}; read -r job; printf %s ${quote(text.slice(hello.length))}`);
  rmSync(said);
  return { events: text.trimEnd().split("\n").length, bytes: text.length };
}

/** Write an inventory of so many hosts that the program answers for. */
export function writeInventory(directory, count) {
  const names = Array.from({ length: count }, (_, index) => `    host-${String(index).padStart(6, "0")}:\n`);
  const vars = `  vars:\n    ansible_connection: podman\n    ansible_user: root\n    ansible_podman_executable: ${join(directory, "agent")}\n`;
  writeFileSync(join(directory, "inventory.yaml"), `all:\n${vars}  hosts:\n${names.join("")}`);
}

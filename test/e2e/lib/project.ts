import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { keepCode } from "./cli.ts";

/** A directory with a playbook and what belongs to it. */
export interface Project {
  readonly directory: string;
  path(name: string): string;
  write(name: string, text: string): string;
}

/** Gives a test file a directory of its own, and keeps the run's caches, logs and keys out of the real home. */
export function scratchDirectory(): () => string {
  let scratch = "";
  const before = new Map<string, string | undefined>();
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "volley-e2e-"));
    const changed = {
      HOME: join(scratch, "home"),
      XDG_CACHE_HOME: join(scratch, "cache"),
      XDG_STATE_HOME: join(scratch, "state"),
    };
    mkdirSync(changed.HOME);
    for (const name of [...Object.keys(changed), "SSH_AUTH_SOCK"]) before.set(name, process.env[name]);
    Object.assign(process.env, changed);
    delete process.env.SSH_AUTH_SOCK;
  });
  afterAll(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    keepCode(join(scratch, "cache"));
    rmSync(scratch, { recursive: true, force: true });
  });
  return () => scratch;
}

/** Makes a project of these files below `parent`. */
export function makeProject(parent: string, files: Readonly<Record<string, string>>): Project {
  const directory = mkdtempSync(join(parent, "project-"));
  const path = (name: string): string => join(directory, name);
  const write = (name: string, text: string): string => {
    mkdirSync(dirname(path(name)), { recursive: true });
    writeFileSync(path(name), text);
    return path(name);
  };
  for (const [name, text] of Object.entries({ "package.json": "{}\n", ...files })) write(name, text);
  return { directory, path, write };
}

/** A playbook whose plays are these lines. */
export function playbookText(...plays: readonly string[]): string {
  return `import { assert, command, copy, debug, definePlaybook, fail, file, shell, template } from "volley";
void [assert, command, copy, debug, fail, file, shell, template];
export default definePlaybook([\n${plays.join(",\n")}\n]);\n`;
}

/** Two tasks that write a file each, below the home. */
export const TWO_FILES = `{ name: "Two files", hosts: "all", tasks: ({ task, facts }) => {
  task("Write a", copy({ content: "a\\n", dest: \`\${facts.env.HOME}/a\` }), { tags: "first" });
  task("Write b", copy({ content: "b\\n", dest: \`\${facts.env.HOME}/b\` }), { tags: "second" });
} }`;

/** Waits on the host until a file is there: the test says when a task ends. */
export function waitFor(name: string): string {
  return `shell(\`echo waiting; while [ ! -e "\${facts.env.HOME}/${name}" ]; do sleep 0.02; done\`)`;
}

/** A play with these keys, whose tasks are these lines. */
export function play(keys: string, tasks: string): string {
  return `{ name: "Deploy", hosts: "all", ${keys}, tasks: ({ task, facts, host }) => { void facts; void host; ${tasks} } }`;
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { readAnsibleSettings } from "../../src/ansible/config/settings.ts";
import type { Finding } from "../../src/lint/finding.ts";
import { type LintOptions, lint } from "../../src/lint/index.ts";

/** Files by their paths in a project. */
export type Files = Readonly<Record<string, string>>;

/** Run `volley lint` in a project. */
export interface Linter {
  /** Write a project; returns its directory. */
  write(files: Files): string;
  /** Look at paths of a project; by default at `site.yml`. */
  look(files: Files, ...paths: readonly string[]): Promise<readonly Finding[]>;
  /** As {@link look}, with what an inventory gives. */
  lookWith(options: Partial<LintOptions>, files: Files): Promise<readonly Finding[]>;
}

/** Make projects in a scratch directory of the test file. */
export function linter(): Linter {
  let scratch = "";
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "volley-lint-"));
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));
  const write = (files: Files): string => {
    const directory = mkdtempSync(join(scratch, "project-"));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
    }
    return directory;
  };
  const run = async (
    files: Files,
    paths: readonly string[],
    options: Partial<LintOptions>,
  ): Promise<readonly Finding[]> => {
    const cwd = write(files);
    // Nothing of the machine's own roles and settings.
    const settings = readAnsibleSettings({
      cwd,
      env: { ANSIBLE_ROLES_PATH: "", ANSIBLE_CONFIG: "/dev/null" },
    });
    return (await lint(paths, { cwd, settings, ...options })).findings;
  };
  return {
    write,
    look: (files, ...paths) => run(files, paths.length === 0 ? ["site.yml"] : paths, {}),
    lookWith: (options, files) => run(files, ["site.yml"], options),
  };
}

/** Write a finding on one line: place, rule and message. */
export function line({ file, line: at, column, rule, message }: Finding): string {
  return `${[file, at, column].filter((part) => part !== undefined).join(":")} ${rule}: ${message}`;
}

/** A playbook of these tasks; they begin on line 3, in column 5. */
export function playbook(tasks: string): string {
  return `- hosts: all\n  tasks:\n${tasks.trimEnd().replace(/^(?=.)/gm, "    ")}\n`;
}

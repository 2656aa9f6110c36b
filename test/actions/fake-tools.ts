import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { System } from "../../src/core/system.ts";
import type { Sandbox } from "./harness.ts";

/** A sandbox's System with programs of its own, and the calls of these. */
export interface Tools {
  readonly system: System;
  /** The command lines of the programs so far, in order. */
  calls(): readonly string[];
}

/**
 * Give a sandbox programs: shell scripts, which find the sandbox's root in `$ROOT`. A name with null stands for a
 * program that the host lacks. The real programs would speak of the machine that the tests run on.
 */
export function withTools(sandbox: Sandbox, scripts: Readonly<Record<string, string | null>>): Tools {
  const folder = join(dirname(sandbox.root), "tools");
  const log = join(folder, "calls");
  mkdirSync(folder, { recursive: true });
  for (const [name, script] of Object.entries(scripts)) {
    if (script === null) continue;
    const text = `#!/bin/sh\nROOT='${sandbox.root}'\necho "${name} $*" >> '${log}'\n${script}\n`;
    writeFileSync(join(folder, name), text, { mode: 0o755 });
  }
  const full = ([name = "", ...rest]: readonly string[]): readonly string[] =>
    scripts[name] === undefined ? [name, ...rest] : [join(folder, name), ...rest];
  const { system } = sandbox;
  return {
    system: {
      ...system,
      which: async (name) => {
        const script = scripts[name];
        return script === undefined ? system.which(name) : script === null ? null : join(folder, name);
      },
      query: (argv, options) => system.query(full(argv), options),
      run: (argv, options) => system.run(full(argv), options),
    },
    calls: () => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []),
  };
}

import { createRequire, SourceMap } from "node:module";
import { basename } from "node:path";
import { Script } from "node:vm";
import { isVolleyError, type SourceLocation, VolleyError } from "../core/errors.ts";
import type { Compiled } from "./compile.ts";

/** The name a compiled playbook has in stacks, on the controller and on the target. */
const FRAMES = /volley\/playbook\.js:(\d+):(\d+)/g;

/** How long a file may take to be evaluated: nobody waits for one that never ends. */
const LIMIT_MS = 30_000;

/**
 * Runs a compiled file on the controller and gives its default export; an error it throws gets the place in its source.
 * `print` is the `console` it sees. Fails with `PLAYBOOK_INVALID` after `limitMs` (default: 30 s).
 */
export function evaluate(
  compiled: Pick<Compiled, "code" | "map">,
  file: string,
  volley: unknown,
  print: Pick<Console, "log"> = console,
  limitMs = LIMIT_MS,
): unknown {
  const wrapper = "(function(exports,require,module,console){";
  const script = new Script(`${wrapper}${compiled.code}\n})`, {
    filename: "volley/playbook.js",
    columnOffset: -wrapper.length,
  });
  const require = createRequire(file);
  const module: { exports: { readonly default?: unknown } } = { exports: {} };
  try {
    const run = script.runInThisContext() as (
      exports: unknown,
      require: (id: string) => unknown,
      module: unknown,
      console: unknown,
    ) => void;
    endWithin(limitMs, () =>
      run(module.exports, (id) => (id === "volley" ? volley : require(id)), module, print),
    );
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException | null)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `${basename(file)} has not ended within ${limitMs / 1000} s: does it wait, or loop forever?`,
        { cause: thrown, hint: "what takes long belongs into a role's `tasks`, which run on the host" },
      );
    }
    throw locate(thrown, compiled.map);
  }
  return module.exports.default;
}

/** Calls a function, and ends it, even in an endless loop, when it takes longer: only what scripts do can be ended so. */
function endWithin(timeout: number, call: () => void): void {
  const name = "volley.endWithin";
  Object.defineProperty(globalThis, Symbol.for(name), { value: call, configurable: true });
  try {
    new Script(`globalThis[Symbol.for("${name}")]()`).runInThisContext({ timeout });
  } finally {
    Reflect.deleteProperty(globalThis, Symbol.for(name));
  }
}

/** The place in a user's source that the first frame of a stack stands for which is the user's own. */
export function locateStack(stack: string | undefined, map: string): SourceLocation | undefined {
  const frames = [...(stack ?? "").matchAll(FRAMES)];
  if (frames.length === 0) return undefined;
  const sources = new SourceMap(JSON.parse(map));
  for (const [, line, column] of frames) {
    const entry = sources.findEntry(Number(line) - 1, Number(column) - 1);
    if (!("originalSource" in entry) || entry.originalSource.startsWith("volley-self")) continue;
    return { file: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
  }
  return undefined;
}

/** The error with its place in the user's source, where that can be found. */
export function locate(thrown: unknown, map: string): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const location = locateStack(thrown.stack, map);
  if (isVolleyError(thrown)) {
    if (thrown.location !== undefined || location === undefined) return thrown;
    return new VolleyError(thrown.code, thrown.message, {
      cause: thrown,
      location,
      ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
    });
  }
  return new VolleyError("PLAYBOOK_INVALID", `${thrown.name}: ${thrown.message}`, {
    cause: thrown,
    ...(location === undefined ? {} : { location }),
  });
}

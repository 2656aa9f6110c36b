import { createRequire, SourceMap } from "node:module";
import { Script } from "node:vm";
import { isVolleyError, type SourceLocation, VolleyError } from "../core/errors.ts";
import type { Compiled } from "./compile.ts";

/** The name a compiled playbook has in stacks, on the controller and on the target. */
const FRAME = /volley\/playbook\.js:(\d+):(\d+)/;

/** Runs a compiled file on the controller and gives its default export; an error it throws gets the place in its source. */
export function evaluate(compiled: Pick<Compiled, "code" | "map">, file: string, volley: unknown): unknown {
  const wrapper = "(function(exports,require,module){";
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
    ) => void;
    run(module.exports, (id) => (id === "volley" ? volley : require(id)), module);
  } catch (thrown) {
    throw locate(thrown, compiled.map);
  }
  return module.exports.default;
}

/** The place in a user's source that a stack's first playbook frame stands for. */
export function locateStack(stack: string | undefined, map: string): SourceLocation | undefined {
  const frame = FRAME.exec(stack ?? "");
  if (frame === null) return undefined;
  const entry = new SourceMap(JSON.parse(map)).findEntry(Number(frame[1]) - 1, Number(frame[2]) - 1);
  if (!("originalSource" in entry) || entry.originalSource.startsWith("volley-self")) return undefined;
  return { file: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
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

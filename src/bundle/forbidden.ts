import type { Metafile } from "esbuild";
import { VolleyError } from "../core/errors.ts";
import { FOLDERS, folderOf, PACKAGES } from "./import-rules.ts";

/** The reason why an input cannot be in the build; undefined for one that can. */
function whyForbidden(input: string, ownSource: boolean): string | undefined {
  const parts = input.split("/");
  const modules = parts.lastIndexOf("node_modules");
  const ofController =
    modules >= 0
      ? PACKAGES[packageOf(parts.slice(modules + 1))]?.rides === false
      : ownSource && FOLDERS[folderOf(parts.slice(parts.lastIndexOf("src") + 1).join("/"))]?.rides === false;
  if (ofController) return "it belongs to the controller";
  return input.endsWith(".node") ? "it is compiled for one kind of machine" : undefined;
}

/** The name of a package by a path below `node_modules`. */
function packageOf([first = "", second = ""]: readonly string[]): string {
  return first.startsWith("@") ? `${first}/${second}` : first;
}

/**
 * Fail with `BUNDLE_FORBIDDEN`, and the chain of imports, when an input of a build belongs to the controller.
 * `ownSource` is true for a build of Volley itself.
 */
export function refuseForbidden({ inputs }: Metafile, entry: string, ownSource: boolean): void {
  const importers = new Map<string, string>();
  const queue = [entry];
  for (let at = 0; at < queue.length; at++) {
    const input = queue[at]!;
    const why = whyForbidden(input, ownSource);
    if (why !== undefined) {
      const chain = [input];
      for (let from = importers.get(input); from !== undefined; from = importers.get(from))
        chain.unshift(from);
      throw new VolleyError("BUNDLE_FORBIDDEN", `${input} cannot run on a host: ${why}`, {
        hint: `imported through ${chain.join(" -> ")}`,
      });
    }
    for (const { path } of inputs[input]?.imports ?? []) {
      if (path === entry || importers.has(path)) continue;
      importers.set(path, input);
      queue.push(path);
    }
  }
}

import type { Metafile } from "esbuild";
import { VolleyError } from "../core/errors.ts";

/** Packages that work only on the controller. */
const FORBIDDEN_PACKAGES = [
  "ssh2",
  "ink",
  "react",
  "pino",
  "archiver",
  "esbuild",
  "commander",
  "p-limit",
  "cpu-features",
  "age-encryption",
];
/** Folders of Volley's own source that stay on the controller. */
const FORBIDDEN_FOLDERS = [
  "inventory",
  "transport",
  "controller",
  "reporter",
  "cli",
  "bundle",
  "embedded",
  "secrets",
];

/** The reason why an input cannot be in the build; undefined for one that can. */
function whyForbidden(input: string, ownSource: boolean): string | undefined {
  const parts = input.split("/");
  const modules = parts.lastIndexOf("node_modules");
  const ofController =
    modules >= 0
      ? FORBIDDEN_PACKAGES.includes(parts[modules + 1] ?? "")
      : ownSource && FORBIDDEN_FOLDERS.includes(parts[parts.lastIndexOf("src") + 1] ?? "");
  if (ofController) return "it belongs to the controller";
  return input.endsWith(".node") ? "it is compiled for one kind of machine" : undefined;
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

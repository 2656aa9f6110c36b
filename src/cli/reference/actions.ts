import type { ActionDescription } from "../../actions/define.ts";
import { didYouMean, VolleyError } from "../../core/errors.ts";
import { isRecord } from "../../core/json.ts";

import * as volley from "../../index.ts";

/** Every action playbooks can import, by name, in alphabetical order. */
export const actions: ReadonlyMap<string, ActionDescription> = new Map(
  Object.values<unknown>(volley)
    .flatMap((exported) => (isAction(exported) ? [exported.description] : []))
    .map((description): [string, ActionDescription] => [description.name, description])
    .sort(([a], [b]) => (a < b ? -1 : 1)),
);

function isAction(exported: unknown): exported is { readonly description: ActionDescription } {
  if (typeof exported !== "function") return false;
  const { description } = exported as { readonly description?: unknown };
  return isRecord(description) && typeof description.name === "string";
}

/** The action of that name, also with the collection an Ansible user would write before it. Fails with `USAGE`. */
export function findAction(name: string): ActionDescription {
  const short = name.replace(/^ansible\.(?:builtin|posix)\./, "");
  const found = actions.get(short) ?? actions.get(short.replaceAll("-", "_"));
  if (found !== undefined) return found;
  throw new VolleyError("USAGE", `there is no action "${name}"${didYouMean(short, actions.keys())}`, {
    hint: "`volley doc` lists them",
  });
}

/** The first sentence of a documentation text. */
export function summaryOf(doc: string): string {
  const sentence = /^[\s\S]*?[.!?](?=\s|$)/.exec(doc)?.[0] ?? doc;
  return sentence.replaceAll(/\s+/g, " ").trim();
}

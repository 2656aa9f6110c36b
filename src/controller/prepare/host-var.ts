import { VolleyError } from "../../core/errors.ts";
import type { Host } from "../../core/inventory.ts";
import { numeric, writeJson } from "../../core/values/value.ts";

import { fillReferences } from "../../vars/references.ts";

/** Return a var as text, with plain references filled in; undefined when the var is not set, or empty. */
export function readText(host: Host, name: string): string | undefined {
  const value = host.vars[name];
  if (value === undefined || value === null || value === "") return undefined;
  const where = whereOf(host, name);
  const magic: Readonly<Record<string, unknown>> = { inventory_hostname: host.name };
  const filled = fillReferences(
    value,
    (variable) => host.vars[variable] ?? magic[variable],
    (problem) => {
      throw new VolleyError("INVENTORY_INVALID", `${where} cannot be filled in: ${problem}`);
    },
  );
  if (typeof filled === "string") return filled;
  if (typeof filled !== "boolean" && numeric(filled) !== undefined) return String(filled);
  throw new VolleyError("INVENTORY_INVALID", `${where} must be text, not ${writeJson(filled)}`);
}

/** Name a var of a host and where it was set, for errors. */
export function whereOf({ name: host, sources }: Host, name: string): string {
  const source = sources[name];
  const place =
    source === undefined ? "" : ` (${source.file}${source.line === undefined ? "" : `:${source.line}`})`;
  return `${name} of host ${host}${place}`;
}

import { defineAction } from "../define.ts";
import { applyDnf, type DnfChange, dnfAliases, dnfParams, inspectDnf } from "./dnf.ts";
import type { DnfData } from "./dnf-plan.ts";

/** Install, upgrade and remove packages with yum, or dnf in its place. */
export const yum = defineAction<typeof dnfParams, DnfChange, DnfData>({
  name: "yum",
  doc: "Install, upgrade and remove packages with yum. Where the host has dnf, which took yum's place, it is used: see `dnf`.",
  params: dnfParams,
  aliases: dnfAliases,
  examples: [{ name: ["httpd", "mod_ssl"] }, { name: "httpd", state: "absent" }],
  title: ({ name, list }) => name?.join(" ") ?? list ?? "",
  inspect: inspectDnf,
  apply: applyDnf,
});

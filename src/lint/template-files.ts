import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { isFile } from "../ansible/load/read.ts";
import { listFiles } from "../ansible/load/roles.ts";
import { VolleyError } from "../core/errors.ts";
import { decodeUtf8 } from "../core/unix/user-file.ts";
import { inspectTemplate } from "../template/inspect.ts";
import { noteContent } from "./texts.ts";
import type { Unit } from "./unit.ts";

/** Larger files are data. */
const MAX_BYTES = 1 << 20;

/** Look at the templates below a directory: those whose names end in `.j2`, and those that tasks name. */
export function lintTemplates(unit: Unit, directory: string): void {
  for (const path of listFiles(directory, (each) => !/(?:^|\/)\.git(?:\/|$)/.test(each))) {
    const file = join(directory, path);
    if (path.endsWith(".j2") || unit.templates.has(file)) lintTemplate(unit, file);
  }
}

/** Look at a template. */
export function lintTemplate(unit: Unit, file: string): void {
  const { findings } = unit;
  const style = unit.templates.get(file) ?? {};
  if (style === "unknown" || statSync(file).size > MAX_BYTES) return;
  const decoded = decodeUtf8(readFileSync(file));
  // A file of bytes is sent as it is, by mistake or not; nothing in it can be told.
  if (!("text" in decoded)) return;
  const shown = findings.shown(file);
  findings.looked(file);
  try {
    const content = inspectTemplate(decoded.text, shown, style);
    noteContent(unit, content, (line) => ({ file: shown, line }));
    for (const { name, line } of content.templates) {
      if (places(unit, file, name).some(isFile)) continue;
      findings.add(
        "missing-file",
        "error",
        { file: shown, line },
        `there is no template "${name}"`,
        "it is looked for beside this template and in templates/ of the role and of the playbook",
      );
    }
  } catch (thrown) {
    if (!(thrown instanceof VolleyError)) throw thrown;
    findings.add(
      "template-syntax",
      "error",
      { file: shown, line: thrown.location?.line ?? 1 },
      `the template cannot be read: ${thrown.message}`,
    );
  }
}

/**
 * The places of a template that another one names. Names count from the directory of the template that a task names,
 * which for a template that is only included may be any directory above.
 */
function places({ base, role }: Unit, from: string, name: string): readonly string[] {
  const roots = [...(role === undefined ? [] : [role.directory]), base];
  const above = [dirname(from)];
  while (roots.some((root) => above.at(-1)!.startsWith(`${root}/`))) above.push(dirname(above.at(-1)!));
  return [
    ...above.map((directory) => join(directory, name)),
    ...roots.flatMap((root) => [join(root, "templates", name), join(root, name)]),
  ];
}

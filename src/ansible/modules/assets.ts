import { hostname } from "node:os";
import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { restoreVars } from "../../core/values/vars.ts";
import { whenAnswered } from "../../engine/render.ts";
import { candidates, missingText } from "../files.ts";
import type { Frame } from "../frame.ts";
import type { Interpreter } from "../interpreter.ts";
import type { Templar } from "../templar.ts";

/**
 * Return what an action's context finds and renders: the files that a task of a playbook means. `asItIs`: also those that
 * are encrypted with Ansible Vault.
 */
export function filesOf(
  interpreter: Interpreter,
  frame: Frame,
  templar: Templar,
  asItIs = false,
): Pick<ActionContext, "asset" | "assetTree" | "assetEntries" | "render"> {
  const { files } = interpreter;
  const roots = interpreter.rootsOf(frame);
  const { entries } = files;
  const firstOf = <T>(kind: string, src: string, look: (path: string) => T | null): T | null => {
    for (const path of candidates(files, src, kind, roots)) {
      const found = look(path.replace(/\/$/, ""));
      if (found !== null) return found;
    }
    return null;
  };
  return {
    asset: (kind, src) => {
      for (const path of candidates(files, src, kind, roots)) {
        const found = files.file(path, asItIs);
        if (found === null) continue;
        if (!asItIs && entries === undefined && interpreter.tree.sealedFiles?.includes(path) === true)
          throw new VolleyError("SECRET_FAILED", `${path} is encrypted with Ansible Vault`, {
            hint: "a host cannot open it: carry the playbook out from the controller, with --via direct",
          });
        return found;
      }
      throw new VolleyError("ASSET_MISSING", missingText(files, src, kind, roots));
    },
    assetTree: (kind, src) => firstOf(kind, src, files.tree),
    ...(entries === undefined
      ? {}
      : { assetEntries: (kind, src, follow) => firstOf(kind, src, (path) => entries(path, follow)) }),
    render: (src, extra = {}, style = {}) => {
      const found = candidates(files, src, "templates", roots).find((path) => files.file(path) !== null);
      if (found === undefined)
        throw new VolleyError("ASSET_MISSING", missingText(files, src, "templates", roots));
      const origin = files.file(found)?.origin;
      const vars = templar.with({
        template_path: src,
        template_fullpath: files.fullPath(found),
        template_host: origin === undefined ? "" : hostname(),
        template_uid: origin?.owner ?? "root",
        ...restoreVars(extra),
      }).vars;
      return whenAnswered(() => interpreter.templatesFor(frame).render(src, vars, style, origin?.modifiedMs));
    },
  };
}

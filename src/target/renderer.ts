import type { AssetStore } from "../core/asset.ts";
import type { Templates, createTemplates } from "../template/index.ts";
import type { Render } from "./action-context.ts";

/** Renders roles' templates; the engine is loaded when the first is rendered, and keeps what it compiled. */
export function createRenderer(assets: AssetStore, loadEngine: () => typeof createTemplates): Render {
  const byRole = new Map<string, Templates>();
  const templatesOf = (role: string): Templates => {
    let templates = byRole.get(role);
    if (templates === undefined) {
      const read = (name: string): string | null =>
        (assets.file(role, `templates/${name}`) ?? assets.file(role, name))?.read().toString("utf8") ?? null;
      templates = loadEngine()({ loader: { read }, env: process.env });
      byRole.set(role, templates);
    }
    return templates;
  };
  return (role, src, vars, style) => templatesOf(role).render(src, vars, style);
}

import type { ActionContext, Memo, RenderStyle } from "../core/action.ts";
import {
  type Asset,
  type AssetKind,
  type AssetStore,
  PLAYBOOK_ROLE,
  searchAsset,
  searchTree,
} from "../core/asset.ts";
import { nearest, VolleyError } from "../core/errors.ts";
import type { Facts } from "../core/facts.ts";
import type { Vars } from "../core/json.ts";

import { plainVars, restoreVars } from "../core/plain-vars.ts";
import { extendScope } from "../vars/scope.ts";
import { whenLooked } from "./host-look.ts";
import { leftUntil, RENDER_MS, renderWithin } from "./limits.ts";

/** Renders a template of a role; see src/template. */
export type Render = (role: string, src: string, vars: Vars, style?: RenderStyle) => string;

/** What one task's ActionContext is made from. */
export interface ActionContextOptions {
  readonly role: string;
  readonly vars: Vars;
  readonly facts: Facts;
  readonly check: boolean;
  readonly signal: AbortSignal;
  readonly memo: Memo;
  readonly assets: AssetStore;
  readonly render: Render;
  readonly output: (stream: "stdout" | "stderr", text: string) => void;
  readonly restart?: ((timeoutMs: number) => void) | undefined;
}

/** Makes what a task's action has at hand. */
export function createActionContext(options: ActionContextOptions): ActionContext {
  const { role, vars, facts, check, signal, memo, assets, render, output, restart } = options;
  let seen: Vars | undefined;
  return {
    get vars() {
      seen ??= plainVars(vars);
      return seen;
    },
    facts,
    check,
    signal,
    memo,
    output,
    ...(restart === undefined ? {} : { restart }),
    asset: (kind, src) => findAsset(assets, role, kind, src),
    assetTree: (kind, src) => searchTree(assets, role, kind, src),
    render: (src, extra = {}, style = {}) => {
      const work = (): string => render(role, src, extendScope(vars, restoreVars(extra)), style);
      const leftMs = leftUntil(signal);
      return whenLooked(() =>
        leftMs < RENDER_MS ? renderWithin(leftMs, `the template ${src}`, work) : work(),
      );
    },
  };
}

/** Finds an asset, as {@link searchAsset} does. Fails with `ASSET_MISSING`. */
export function findAsset(assets: AssetStore, role: string, kind: AssetKind, src: string): Asset {
  const found = searchAsset(assets, role, kind, src);
  if (found !== null) return found;
  const known = assets.tree(role, kind) ?? [];
  const near = nearest(src, known);
  // A play's own tasks have theirs beside the playbook.
  const owner = role === PLAYBOOK_ROLE ? "the playbook" : `role "${role}"`;
  throw new VolleyError("ASSET_MISSING", `${owner} has no file ${kind}/${src}`, {
    hint:
      near !== undefined
        ? `did you mean ${kind}/${near}?`
        : known.length === 0
          ? `its ${kind} directory is empty or missing`
          : `its ${kind} are: ${known.slice(0, 8).join(", ")}${known.length > 8 ? ", …" : ""}`,
  });
}

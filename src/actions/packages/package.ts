import * as v from "valibot";
import type { ActionCall, ActionContext, Change } from "../../core/action.ts";
import { didYouMean, VolleyError } from "../../core/errors.ts";
import { coerceArguments } from "../coerce.ts";
import { apt } from "../debian/apt.ts";
import { type Action, defineAction } from "../define.ts";
import { dnf } from "../rpm/dnf.ts";
import { yum } from "../rpm/yum.ts";
import { zypper } from "../rpm/zypper.ts";
import { optionalText } from "../shared/params.ts";
import { apk } from "./apk.ts";
import { pacman } from "./pacman.ts";

const params = v.looseObject({
  name: v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())]),
      v.description("Packages, in the notation of the host's package manager."),
    ),
  ),
  state: optionalText(
    "`present`, `absent`, and what else the package manager's action knows, such as `latest`.",
  ),
  use: v.optional(
    v.pipe(
      v.string(),
      v.description("The package manager's action. Default: `auto`, the one that the facts name."),
    ),
    "auto",
  ),
});

type PackageParams = v.InferOutput<typeof params>;

/** The actions that a package can be left to, by the name that facts and `use` have for them. */
const MANAGERS: Readonly<Record<string, Action<never, unknown>>> = {
  apt,
  dnf,
  dnf5: dnf,
  yum,
  zypper,
  pacman,
  apk,
};

/** Install, upgrade and remove packages by the action of the host's package manager. */
const packageAction = defineAction<typeof params, Change, unknown>({
  name: "package",
  doc: `Install, upgrade and remove packages with the host's own package manager.

The task is what the package manager's own action makes of it, with all parameters given here: \`apt\` on Debian and Ubuntu, \`dnf\` on Fedora and Red Hat's family, and so on. Names of packages are not translated.`,
  params,
  examples: [{ name: "ntpsec", state: "present" }, { name: ["git", "unzip"] }],
  title: ({ name }) => (typeof name === "string" ? name : (name ?? []).join(" ")),
  inspect: async (given, system, context) => callFor(given, context).inspect(system, context),
  apply: async (change, given, system, context) => callFor(given, context).apply(change, system, context),
});

export { packageAction as package };

/** Return the call of the package manager's action. Fails with `ACTION_FAILED` for a package manager without one. */
function callFor({ use, ...given }: PackageParams, { facts }: ActionContext): ActionCall {
  const name = use === "auto" ? (facts.pkg_mgr ?? "unknown") : use.replace(/^.*\./, "");
  const known = Object.keys(MANAGERS);
  const action = Object.hasOwn(MANAGERS, name) ? MANAGERS[name] : undefined;
  if (action !== undefined) return action(coerceArguments(action, given) as never);
  if (name === "unknown")
    throw new VolleyError("ACTION_FAILED", "Could not detect which package manager to use", {
      hint: `name its action with the parameter "use": ${known.join(", ")}`,
    });
  throw new VolleyError("ACTION_FAILED", `Could not find a module for ${name}${didYouMean(name, known)}`, {
    hint: `package managers with an action are ${known.join(", ")}`,
  });
}

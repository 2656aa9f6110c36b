import * as v from "valibot";
import { ActionFailure, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessResult, ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, nameText, oneOf, optionalText } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";

const params = v.strictObject({
  name: nameText("The module, as `a2enmod` knows it."),
  state: oneOf(["present", "absent"], "present", "Enable or disable it."),
  identifier: optionalText(
    "The module, as `apache2ctl -M` lists it. Default: as its file in `mods-available` loads it, else `name` with `_module`.",
  ),
  force: flag("Disable modules, too, that Debian warns of."),
  ignore_configcheck: flag(
    "Go on where Apache refuses its configuration, as it does while no `mpm_…` module is enabled.",
  ),
  warn_mpm_absent: flag("Ignored: nothing is warned of.", true),
});

type ModuleParams = v.InferOutput<typeof params>;

/** The data of an apache2_module task. */
interface ModuleData {
  readonly result: string;
}

interface ModuleChange extends Change {
  readonly argv: readonly string[];
  readonly data: ModuleData;
}

const FOLDERS = ["/etc/apache2/mods-available", "/etc/apache2/mods-enabled"] as const;

/** Enable and disable modules of Apache. */
export const apache2_module = defineAction<typeof params, ModuleChange, ModuleData>({
  name: "apache2_module",
  doc: "Enable or disable a module of Apache with `a2enmod` and `a2dismod`, which Debian, Ubuntu and SUSE have. Apache itself says which modules it loads; reload or restart it afterwards.",
  params,
  examples: [
    { name: "rewrite" },
    { name: "autoindex", state: "absent", force: true },
    { name: "mpm_event", state: "absent", ignore_configcheck: true },
  ],
  title: ({ name, state }) => (state === "absent" ? `${name} absent` : name),

  async inspect(given, system, { signal, check }): Promise<ModuleChange | Unchanged<ModuleData>> {
    const { name, state, force } = given;
    const data = { result: `Module ${name} ${state === "present" ? "enabled" : "disabled"}` };
    const tool = state === "present" ? "a2enmod" : "a2dismod";
    const control = await findControl(system);
    const missing = control === null ? "apache2ctl" : (await system.which(tool)) === null ? tool : null;
    if (control === null || missing !== null) {
      const message = `there is no ${missing} on this host; install the package apache2 first`;
      if (check) return { argv: [], data, unknown: message };
      throw new VolleyError("ACTION_FAILED", message);
    }
    const before = await isEnabled(given, control, system, signal);
    if (before === (state === "present")) return unchanged(data);
    const states = [before ? "present" : "absent", state] as const;
    return {
      argv: [tool, ...(force ? ["-f"] : []), name],
      data,
      diff: { path: `apache module ${name}`, attributes: { state: states } },
    };
  },

  async apply({ argv, data }, given, system, { signal }) {
    const { name, state } = given;
    const result = await system.run(argv, { env: { LC_ALL: "C" }, signal });
    const control = (await findControl(system)) ?? "apache2ctl";
    if ((await isEnabled(given, control, system, signal)) === (state === "present")) return { data };
    const { code: rc, stdout, stderr } = result;
    const why =
      rc === 0
        ? `Apache does not list it as ${await identifierOf(given, system)}; set identifier to the name it has there`
        : failureText(result);
    throw new ActionFailure(
      "ACTION_FAILED",
      `Failed to set module ${name} to ${state === "present" ? "enabled" : "disabled"}: ${why}`,
      { rc, stdout, stderr },
    );
  },
});

async function findControl(system: ReadSystem): Promise<string | null> {
  for (const name of ["apache2ctl", "apachectl"]) if ((await system.which(name)) !== null) return name;
  return null;
}

/** Return the name under which Apache lists a module: the first word of its LoadModule. */
async function identifierOf({ name, identifier }: ModuleParams, system: ReadSystem): Promise<string> {
  if (identifier !== undefined) return identifier;
  for (const folder of FOLDERS) {
    const text = (await system.readIfExists(`${folder}/${name}.load`))?.toString("utf8") ?? "";
    const loaded = /^[ \t]*LoadModule[ \t]+(\S+)/im.exec(text)?.[1];
    if (loaded !== undefined) return loaded;
  }
  return `${name}_module`;
}

async function isEnabled(
  given: ModuleParams,
  control: string,
  system: ReadSystem,
  signal: AbortSignal,
): Promise<boolean> {
  const asked = await system.query([control, "-M"], { env: { LC_ALL: "C" }, signal });
  if (asked.code !== 0 && !given.ignore_configcheck) throw refusal(control, asked);
  const identifier = await identifierOf(given, system);
  return asked.stdout.split("\n").some((line) => line.trim().split(/\s/)[0] === identifier);
}

function refusal(control: string, result: ProcessResult): ActionFailure {
  const { code: rc, stdout, stderr } = result;
  return new ActionFailure(
    "ACTION_FAILED",
    `Error executing ${control}: ${failureText(result)}; mend Apache's configuration, or set ignore_configcheck`,
    { rc, stdout, stderr },
  );
}
